/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed-width types, bool, size_t and errno numbers shared by user space and the kernel module. Nothing
 * else comes in through here: code that must build without a libc includes this header and no other of the system.
 */
#ifndef ABI_TYPES_H
#define ABI_TYPES_H

#ifdef __KERNEL__

#include <linux/errno.h>
#include <linux/stddef.h>
#include <linux/types.h>

#else

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* The numbers only, without libc's thread-local errno. */
#include <linux/errno.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#endif

#endif
