// Package damo reads what damo (https://github.com/damonitor/damo) records and makes
// recordings of it: its formats json and json_compressed, and the text of perf script or
// trace-cmd report with DAMON's events, which it calls perf_script. It reads
// as it goes: what it needs in memory does not depend on the length of the file, but on
// one snapshot.
package damo
