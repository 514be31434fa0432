package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/host"
)

// Config says what to run and how.
type Config struct {
	// Probes are run in the order of their subjects; nil is the whole [Catalogue].
	Probes []Probe
	// Program is the command that starts this program as the process of a probe; nil is
	// this program by its path, see [Asked].
	Program []string
	// Parallel is how many probes run at once; 0 is the number of processors, at most 4.
	Parallel int
	// Progress, where set, is told how many probes are done, by one goroutine at a time.
	Progress func(done, total int)
	Tool     guarantee.Tool

	sabotage sabotage
}

// Run runs probes and returns what they found. Where ctx ends, the probes that have not
// ended are unknown, and their processes are killed. The error tells of what made a run
// impossible, or of what could not be removed afterwards: then the report is there, too.
func Run(ctx context.Context, c Config) (*Report, error) {
	if !asked {
		return nil, ErrNotHooked
	}
	if c.Program == nil {
		c.Program = []string{ownPath()}
	}
	if c.Probes == nil {
		c.Probes = Catalogue()
	}
	facts, err := host.New("/proc", "/sys").Read(ctx)
	if err != nil {
		return nil, err
	}
	sweep()
	s := &session{ctx: ctx, config: c, host: facts.Identity()}
	from := time.Now()
	splitsBefore := directMap(facts)
	results := s.all()
	r := &Report{Schema: Schema, Tool: c.Tool, Host: s.host, Window: guarantee.Since(from), Probes: results}
	r.Summary = summarize(results)
	r.Footprint = Footprint{SecretPages: s.secret.most, SecretLimit: SecretPages, LinearMapBefore: splitsBefore}
	if after, err := host.New("/proc", "/sys").Read(ctx); err == nil {
		r.Footprint.LinearMapAfter = directMap(after)
	}
	return r, errors.Join(s.leftovers...)
}

// ownPath is this program by its path, so that it shows under its name; by the link to
// itself where the path is no more.
func ownPath() string {
	exe, err := os.Executable()
	if err != nil || strings.HasSuffix(exe, " (deleted)") {
		return "/proc/self/exe"
	}
	return exe
}

// session is one run.
type session struct {
	ctx    context.Context
	config Config
	host   guarantee.Host
	secret budget

	mu        sync.Mutex // protects what follows
	done      int
	leftovers []error
}

func (s *session) leftover(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leftovers = append(s.leftovers, fmt.Errorf("left behind: %w", err))
}

// all runs the probes that can run beside others, then the others one by one. The results
// are in the order of the probes.
func (s *session) all() []Result {
	results := make([]Result, len(s.config.Probes))
	var together, alone []int
	for i, p := range s.config.Probes {
		if p.Needs.Alone {
			alone = append(alone, i)
		} else {
			together = append(together, i)
		}
	}
	// Long ones first, so that none is left alone at the end.
	slices.SortStableFunc(together, func(a, b int) int {
		return int(s.config.Probes[b].limit() - s.config.Probes[a].limit())
	})
	s.several(together, results, s.parallel())
	s.several(alone, results, 1)
	return results
}

func (s *session) parallel() int {
	if s.config.Parallel > 0 {
		return s.config.Parallel
	}
	return min(4, runtime.GOMAXPROCS(0))
}

func (s *session) several(which []int, results []Result, workers int) {
	next := make(chan int)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range next {
				p := &s.config.Probes[i]
				s.secret.take(p.Needs.SecretPages)
				results[i] = s.conduct(p)
				s.secret.give(p.Needs.SecretPages)
				s.step()
			}
		})
	}
	for _, i := range which {
		next <- i
	}
	close(next)
	wait.Wait()
}

func (s *session) step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	if s.config.Progress != nil {
		s.config.Progress(s.done, len(s.config.Probes))
	}
}

// budget keeps the number of secret pages of all probes together within [SecretPages].
type budget struct {
	mu        sync.Mutex
	free      *sync.Cond
	now, most int
}

func (b *budget) take(pages int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free == nil {
		b.free = sync.NewCond(&b.mu)
	}
	for b.now+pages > SecretPages {
		b.free.Wait()
	}
	b.now += pages
	b.most = max(b.most, b.now)
}

func (b *budget) give(pages int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now -= pages
	b.free.Broadcast()
}
