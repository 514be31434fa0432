package mutation

// failureMutants break what a pool does after a failure of its medium.
func failureMutants() []Mutant {
	all := []Mutant{
		one("poison ignored", "after a failed sync a pool goes on", "append.go", `	if err := p.unusable(); err != nil {
		return len(all), err
	}
`, ``),
		one("poison ignored at a checkpoint", "after a failed sync a checkpoint succeeds", "pool.go", `	if err := p.unusable(); err != nil {
		return err
	}
`, ``),
		one("poison ignored before direct writes", "after a failed sync objects are written past the log", "update.go", `	if err := tx.p.broken(); err != nil {
		return err
	}
`, ``).survives("the record is refused all the same, and what is written past the log is space that nobody has"),
		one("no poison after a failed record", "a record whose sync failed does not stop the pool", "append.go",
			`fmt.Errorf("%w: %w", ErrOutcomeUnknown, p.poison(err))`, `fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)`),
		one("no poison after a failed checkpoint", "a checkpoint whose sync failed does not stop the pool", "pool.go",
			`	if err := p.checkpoint(); err != nil {
		return p.poison(err)
	}`, `	if err := p.checkpoint(); err != nil {
		return err
	}`),
		one("no poison after the log was full", "a checkpoint for want of room whose sync failed does not stop the pool", "append.go",
			`return len(all), p.poison(err)`, `return len(all), err`),
		one("no poison after direct writes", "a failed sync of what goes past the log does not stop the pool", "assign.go", `return p.poison(err)`, `return err`),
		one("outcome known", "a commit whose sync failed says that it is not there", "append.go",
			`fmt.Errorf("%w: %w", ErrOutcomeUnknown, p.poison(err))`, `p.poison(err)`),
		one("half in place not said", "what is half in place can be read", "append.go", `p.halved.Store(true)`, `_ = &p.halved`),
		one("half in place read", "what is half in place is returned", "update.go", `if tx.p.halved.Load() {`, `if false {`),
		one("faults not guarded", "a store that faults ends the process", "append.go", `err := p.m.Guard(func() error {`, `err := func(fn func() error) error { return fn() }(func() error {`),
		one("close without checkpoint", "Close leaves the log as it is", "pool.go", `err = p.checkpoint()`, `err = nil`),
		one("new file not synced", "a new pool gets its name before it is durable", "pool.go", `err := m.SyncFile()`, `err := error(nil)`),
		one("name not synced", "the name of a new pool is not durable", "pool.go", `return m.SyncDirectory()`, `return nil`),
		one("space of the log not allocated", "a full device is found when the log is written", "pool.go",
			`	if err := p.m.Allocate(0, p.geometry.heap); err != nil {
		return err
	}
`, ``),
	}
	for i := range all {
		all[i].Later = true
	}
	return all
}
