// Package crash explores what a failure may leave of a persistent structure.
//
// It runs a workload, records every store, flush, fence and sync that reaches the medium,
// and recovers every image that a failure may legally leave: those of a killed process, of
// persistent memory that loses its caches (ADR) or keeps them (eADR), of an ordinary file.
// A test with a kill, or on an emulated device, keeps every store and can't fail for a
// missing flush; this can. It needs no special hardware and no privilege.
//
//	func TestLog(t *testing.T) {
//		crash.Run(t, crash.Config{}, crash.Workload[*Log]{
//			Size:    64 << 10,
//			Create:  func(e *crash.Env) (*Log, error) { return Open(e.Medium) },
//			Run: func(o *crash.Ops[*Log]) error {
//				return o.Do("append", func(l *Log) error { return l.Append(42) })
//			},
//			Recover: func(e *crash.Env) (*Log, error) { return Open(e.Medium) },
//			Dump:    (*Log).String,
//		})
//	}
//
// # What is legal
//
// Package state has the models. In short: each cache line keeps its stores in order and
// loses any suffix of them, lines are independent of each other, a store is safe once its
// thread has flushed the line and fenced, words of non-temporal stores are independent of each
// other until their thread fences, and 8 aligned bytes are never torn. The number of images is
// the product over lines and words.
//
// # What is checked
//
// The state that a user sees after recovery (Dump) must be one that the history allows: every
// operation that was acknowledged is there, the one in flight whole or not at all. Check adds
// what must hold besides. Both are held against images that are known to be wrong before
// anything is believed: see [ErrBlind]. A run that checked nothing fails: see
// [ErrNothingChecked].
//
// # How so many images are checked
//
// A recovery that is deterministic is a function of the bytes that it reads. Two images that
// are equal there have one outcome, so it is computed once: see package decision. That the
// recovery is deterministic, and reads through the medium alone, is checked on samples while
// exploring. Outcomes are held against the history at every crash point: one image may be
// right before an acknowledgement and wrong after it.
//
// Where a crash point costs more recoveries than [Config.Recoveries], it is sampled, and the
// [Report] says how much was checked of how much.
//
// # Concurrency
//
// Explore runs one goroutine of the user's at a time. The workload's own goroutines are started
// by [Ops.Go] and change over at calls of the medium and of locks from [Env.Locker], as a seed
// has it; each schedule is explored.
package crash
