// Package feature says what the running kernel and machine can do, by experiment: one
// probe for each feature that tests of memory safety need.
//
// A probe does the thing, and looks at what came of it: the exact errno, the flags in
// smaps, a page that moved. Beside it stands a control: nearly the same thing, which
// must go the other way. Where the control fails the answer is [Unknown], never
// [Present] and never [Absent]. A version number is no answer; it only says what is to
// be expected of Debian's kernels ([Feature.Expected]), so that a test in the lab can
// fail where a feature is missing, in place of being skipped for ever.
//
// A probe leaves the process as it was. Those with a [Feature.Risk] change something of
// the host for a while, such as a kdamond that runs or a frame that is lost; they run
// in the lab alone, and are [Unknown] elsewhere without having been tried.
//
// Probes may be called by several goroutines; one runs at a time.
package feature
