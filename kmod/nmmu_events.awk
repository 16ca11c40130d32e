# SPDX-License-Identifier: GPL-2.0-or-later
# Tracepoints for every event of abi/events.def, which comes preprocessed (nmmu_events.in):
#	@E name  @F type name unit  @F ...  @X
# Each has the head of struct ms_event and its own fields, by name.
BEGIN {
	print "/* Made by nmmu_events.awk from abi/events.def. */"
	print "#undef TRACE_SYSTEM"
	print "#define TRACE_SYSTEM mmuscope"
	print "#if !defined(NMMU_EVENTS_H) || defined(TRACE_HEADER_MULTI_READ)"
	print "#define NMMU_EVENTS_H"
	print "#include <linux/tracepoint.h>"
	print "#include \"abi/event.h\""
}
{
	for (i = 1; i <= NF; i++)
		word[++nr] = $i
}
END {
	for (i = 1; i <= nr; i++) {
		if (word[i] == "@E") {
			event = word[++i]
			entry = assign = form = args = ""
		} else if (word[i] == "@F") {
			type = word[++i]
			name = word[++i]
			unit = word[++i]
			entry = entry "\n\t\t__field(" type ", " name ")"
			assign = assign "\n\t\t__entry->" name " = e->u." event "." name ";"
			form = form " " name (unit ~ /^(LEVEL|INDEX|COUNT|ID|BOOL|RET|MMU|CAUSE|FLUSH)$/ ? "=%llu" : "=0x%llx")
			args = args ",\n\t\t(unsigned long long)__entry->" name
		} else if (word[i] == "@X") {
			print "\nTRACE_EVENT(nmmu_" event ","
			print "\tTP_PROTO(u64 instance, const struct ms_event *e),"
			print "\tTP_ARGS(instance, e),"
			print "\tTP_STRUCT__entry(\n\t\t__field(u64, instance)\n\t\t__field(u64, event_seq)\n\t\t__field(u16, vcpu)" \
				"\n\t\t__field(u8, guest)\n\t\t__field(u8, cause)" entry "\n\t),"
			print "\tTP_fast_assign(\n\t\t__entry->instance = instance;\n\t\t__entry->event_seq = e->seq;" \
				"\n\t\t__entry->vcpu = e->vcpu;\n\t\t__entry->guest = e->guest;\n\t\t__entry->cause = e->cause;" \
				assign "\n\t),"
			print "\tTP_printk(\"instance=0x%llx seq=%llu vcpu=%u guest=%u cause=%u" form "\","
			print "\t\t(unsigned long long)__entry->instance, (unsigned long long)__entry->event_seq, __entry->vcpu," \
				"\n\t\t__entry->guest, __entry->cause" args "));"
		}
	}
	print "\n#endif"
	print "#undef TRACE_INCLUDE_PATH"
	print "#undef TRACE_INCLUDE_FILE"
	print "#define TRACE_INCLUDE_PATH ."
	print "#define TRACE_INCLUDE_FILE nmmu_events"
	print "#include <trace/define_trace.h>"
}
