package access

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/tracefs"
	"github.com/safevma/safevma/watch/recording"
)

// RecordOptions say what is recorded.
type RecordOptions struct {
	Name     string        // of the file, which must not exist
	Most     int64         // bytes of a file before it is put aside, see recording.Rotating; 0 is no limit
	Duration time.Duration // 0 is until ctx ends
	Program  string        // what is said to have recorded
	// Progress is called now and then; nil for nobody.
	Progress func(Progress)
}

// Progress is what was recorded so far.
type Progress struct {
	Elapsed   time.Duration
	Snapshots uint64
	Partial   uint64
	Applied   uint64
	Lost      uint64
	Files     int   // how many were begun
	Bytes     int64 // of the one that is written
}

// How often is looked at what.
const (
	readEvery      = 100 * time.Millisecond // the buffers
	footprintEvery = time.Second
	syncEvery      = 5 * time.Second // how the file is written, and whether the setup has changed
	bufferKiB      = 2048            // of each CPU
)

// Record records until ctx or the duration ends, whichever is first; neither is an error.
// What was recorded up to five seconds ago is on the device; more may be lost with the machine.
// Errors wrap [tracefs.ErrAbsent] or [tracefs.ErrDenied] where nothing can be recorded here.
func Record(ctx context.Context, o RecordOptions) (Progress, error) {
	r := &recorder{options: o, begun: time.Now(), damon: damon.Default(), proc: process.Default()}
	if err := r.open(); err != nil {
		return r.progress(), errors.Join(err, r.close())
	}
	err := r.run(ctx)
	if err == nil {
		err = r.finish()
	}
	return r.progress(), errors.Join(err, r.close())
}

type recorder struct {
	options   RecordOptions
	begun     time.Time
	damon     damon.FS
	proc      process.FS
	instance  *tracefs.Instance
	decoder   *damon.Decoder
	assembler damon.Assembler
	file      *recording.Rotating
	setup     *recording.Setup
	setupText string
	heard     map[int]bool             // threads that have told something
	tuned     map[int]*recording.Tuned // the last of each thread
	entry     recording.Snapshot
	now       int64 // of the last event
	lossSeen  int64 // when the kernel said last that it had lost more than before

	count Progress
	ended bool
}

func (r *recorder) progress() Progress {
	p := r.count
	p.Elapsed = time.Since(r.begun)
	if r.file != nil && r.file.Writer != nil {
		p.Bytes = r.file.Size()
	}
	return p
}

// open begins to listen, and then the file: where nothing can be heard there is none.
func (r *recorder) open() (err error) {
	if r.instance, err = tracefs.New(tracefs.Options{BufferKiB: bufferKiB}); err != nil {
		return err
	}
	if r.decoder, err = damon.NewDecoder(r.instance.Enable); err != nil {
		return err
	}
	if _, err := r.readSetup(); err != nil {
		return err
	}
	r.assembler.Apart = r.apart
	r.file, err = recording.NewRotating(r.options.Name, r.options.Most, r.beginFile)
	return err
}

// beginFile writes what each file begins with.
func (r *recorder) beginFile(w *recording.Writer) error {
	start, err := newStart(r.options.Program, r.decoder.Absent)
	if err != nil {
		return err
	}
	r.count.Files++
	errs := []error{w.Write(start), w.Write(r.setup)}
	for _, thread := range slices.Sorted(maps.Keys(r.tuned)) {
		errs = append(errs, w.Write(r.tuned[thread]))
	}
	return errors.Join(append(errs, w.Sync())...)
}

func (r *recorder) close() (err error) {
	if r.file != nil && r.file.Writer != nil && !r.ended {
		_ = r.file.Close(r.end("an error")) // why it ended is told already
	}
	if r.instance != nil {
		err = errors.Join(err, r.instance.Close())
	}
	return err
}

func (r *recorder) end(reason string) recording.End {
	return recording.End{Time: r.now, Reason: reason, Snapshots: r.count.Snapshots, Partial: r.count.Partial, Lost: r.count.Lost}
}

// run listens.
func (r *recorder) run(ctx context.Context) error {
	if r.options.Duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, r.options.Duration)
		defer stop()
	}
	read, footprint, sync := time.NewTicker(readEvery), time.NewTicker(footprintEvery), time.NewTicker(syncEvery)
	defer read.Stop()
	defer footprint.Stop()
	defer sync.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-read.C:
			err = r.instance.Read(false, r.event)
		case <-footprint.C:
			err = r.footprints()
			if r.options.Progress != nil {
				r.options.Progress(r.progress())
			}
		case <-sync.C:
			err = r.sync()
		}
		if err != nil {
			return err
		}
	}
}

// sync makes durable what there is, and begins a new file where this one is full.
func (r *recorder) sync() error {
	if err := r.writeSetup(); err != nil {
		return err
	}
	if err := errors.Join(r.counters(), r.file.Sync()); err != nil {
		return err
	}
	_, err := r.file.Turn(r.end("full"))
	return err
}

// finish reads what is left, and ends the file.
func (r *recorder) finish() error {
	if err := r.instance.Stop(); err != nil {
		return err
	}
	if err := r.instance.Read(true, r.event); err != nil {
		return err
	}
	if err := errors.Join(r.assembler.Flush(r.snapshot), r.counters()); err != nil {
		return err
	}
	r.ended = true
	return r.file.Close(r.end("ended"))
}

// event writes what the kernel tells.
func (r *recorder) event(e tracefs.Event) error {
	r.now = int64(e.Time)
	if e.Missed.Some {
		if err := r.file.Write(&recording.Lost{Time: int64(e.Time), CPU: e.CPU, Events: e.Missed.Events}); err != nil {
			return err
		}
	}
	typed, err := r.decoder.Decode(e)
	if err != nil {
		return err
	}
	if typed != nil {
		if err := r.hear(typed.Source().Thread); err != nil {
			return err
		}
	}
	switch typed := typed.(type) {
	case damon.Aggregated:
		return r.assembler.Add(typed, e.Missed.Some, r.snapshot)
	case damon.BeforeApply:
		r.count.Applied++
		return r.file.Write(&recording.Applied{BeforeApply: typed})
	case damon.EffectiveSize:
		return r.file.Write(&recording.Quota{EffectiveSize: typed})
	case damon.IntervalsTuned:
		if r.tuned == nil {
			r.tuned = map[int]*recording.Tuned{}
		}
		r.tuned[typed.Thread] = &recording.Tuned{IntervalsTuned: typed}
		return r.file.Write(r.tuned[typed.Thread])
	}
	return nil
}

// hear looks how a thread watches that was not heard of before: before what it tells is
// written.
func (r *recorder) hear(thread int) error {
	if r.heard[thread] {
		return nil
	}
	if r.heard == nil {
		r.heard = map[int]bool{}
	}
	r.heard[thread] = true
	return r.writeSetup()
}

// apart: half an aggregation is more than a kdamond takes to tell one, and may be what the scheduler
// makes of it where the kernel has lost nothing since the snapshot began.
func (r *recorder) apart(s *damon.Snapshot, between int64) bool {
	interval := r.interval(s.Thread)
	if interval == 0 || between < interval/2 {
		return false
	}
	return r.counters() != nil || r.lossSeen >= s.End
}

// interval is how long an aggregation of a thread takes, in nanoseconds; 0 where that is not known.
// The kernel tunes the time between samples, and keeps how many make an aggregation.
func (r *recorder) interval(thread int) int64 {
	for i := range r.setup.Contexts {
		c := &r.setup.Contexts[i]
		if c.Thread != thread {
			continue
		}
		us := float64(c.Intervals.Aggr)
		if tuned := r.tuned[thread]; tuned != nil && c.Intervals.Sample > 0 {
			us *= float64(tuned.Sample) / float64(c.Intervals.Sample)
		}
		return int64(min(us, 1e15) * 1000)
	}
	return 0
}

func (r *recorder) snapshot(s *damon.Snapshot) error {
	r.count.Snapshots++
	if !s.Whole() {
		r.count.Partial++
	}
	r.entry.Snapshot = *s
	return r.file.Write(&r.entry)
}

// counters asks the kernel how much it has dropped: the pages tell it only when the next
// one is read.
func (r *recorder) counters() error {
	stats, err := r.instance.Stats()
	if err != nil {
		return err
	}
	lost := uint64(0)
	for _, s := range stats {
		lost += s.Lost()
	}
	if lost > r.count.Lost {
		now, err := sys.Monotonic()
		if err != nil {
			return err
		}
		r.lossSeen = int64(now)
	}
	r.count.Lost = lost
	return nil
}
