package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/mglru"
)

// lruScope is the flags that say which groups, and whether it is only shown.
type lruScope struct {
	format    output
	group     string
	wholeHost bool
	below     bool
	node      int
	dryRun    bool
}

func (s *lruScope) flags(cmd *cobra.Command) {
	s.format.flag(cmd)
	groupFlag(cmd, &s.group)
	cmd.Flags().BoolVar(&s.wholeHost, "whole-host", false, "every group, the root too")
	cmd.Flags().BoolVar(&s.below, "below", false, "and the groups below it")
	cmd.Flags().IntVar(&s.node, "node", mglru.EveryNode, "this NUMA `node` alone; -1 is all")
	cmd.Flags().BoolVarP(&s.dryRun, "dry-run", "n", false, "show the commands, and give none")
	cmd.MarkFlagsOneRequired("cgroup", "whole-host")
	cmd.MarkFlagsMutuallyExclusive("cgroup", "whole-host")
}

func (s *lruScope) scope() (mglru.Scope, error) {
	all := mglru.WholeHost()
	all.Node = s.node
	if s.wholeHost {
		return all, nil
	}
	scope := mglru.Scope{Path: s.group, Below: s.below, Node: s.node}
	if scope.Root() {
		return scope, usage(errors.New("--cgroup /: that is the root of all groups; --whole-host if that is meant"))
	}
	return scope, nil
}

// change plans by the generations that there are, carries it out, and shows what became of it.
func (s *lruScope) change(cmd *cobra.Command, plan func([]mglru.Memcg) ([]mglru.Step, error)) error {
	asJSON, err := s.format.json()
	if err != nil {
		return err
	}
	scope, err := s.scope()
	if err != nil {
		return err
	}
	from := time.Now()
	list, err := mglru.Default().Generations(false)
	if err == nil {
		list, err = scope.Choose(list)
	}
	if err != nil {
		return lruError(err)
	}
	steps, err := plan(list)
	if err != nil {
		return usage(err)
	}
	c := mglru.Planned(steps)
	if !s.dryRun {
		c.DryRun = false
		if c.Outcomes, err = mglru.Default().Do(steps); err != nil {
			return lruError(err)
		}
	}
	c.PageSize, c.Window = uint64(os.Getpagesize()), guarantee.Since(from)
	if err := showChange(cmd.OutOrStdout(), c, asJSON); err != nil {
		return internal(err)
	}
	if c.Failed() > 0 {
		return &exit{status: exitFindings}
	}
	return nil
}

func showChange(to io.Writer, c *mglru.Change, asJSON bool) error {
	if asJSON {
		return c.WriteJSON(to)
	}
	w := term.NewWriter(to, os.Environ())
	w.MGLRUChange(c)
	return w.Err()
}

func lruError(err error) error {
	if errors.Is(err, mglru.ErrAbsent) || errors.Is(err, mglru.ErrDenied) || errors.Is(err, mglru.ErrNoGroup) {
		return notMeasurable(err)
	}
	return internal(err)
}

const changeStatus = `
Exit status: 0 done, or nothing to do; 1 the kernel refused, or did not do it; 3 there is no such
group, no multi-generational LRU, or this user may not.`

func newMGLRUAge() *cobra.Command {
	var scope lruScope
	var o mglru.AgeOptions
	cmd := &cobra.Command{
		Use:   "age",
		Short: "Have the kernel look which memory of a group was used, and begin a new generation",
		Long: `Makes a new youngest generation of a memory control group on each NUMA node: the kernel looks at
the accessed bits in page tables, and moves what was used since the last time to what was the
youngest. Doing so now and again gives "safevma mglru" its histogram of idle memory. It costs
the kernel a walk through page tables, and nothing is evicted. Shows the generations after it.
` + changeStatus,
		Example: "  safevma mglru age --cgroup /system.slice/db.service --force\n  safevma mglru age --cgroup /user.slice --below --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return scope.change(cmd, func(list []mglru.Memcg) ([]mglru.Step, error) { return mglru.PlanAge(list, o), nil })
		},
	}
	scope.flags(cmd)
	cmd.Flags().BoolVar(&o.Swap, "swap", false, "anonymous memory too where there is no swap")
	cmd.Flags().BoolVar(&o.Force, "force", false, "all page tables, also where the kernel finds that not worthwhile")
	return cmd
}

func newMGLRUEvict() *cobra.Command {
	var scope lruScope
	var o mglru.EvictOptions
	cmd := &cobra.Command{
		Use:   "evict",
		Short: "Have the kernel evict memory of a group that has been idle for some time",
		Long: `Evicts the generations of a memory control group that have been idle for at least a time, as far
as the kernel has looked: on a group that is seldom aged, memory in use may look idle, so age it
before ("safevma mglru age", twice). The two youngest generations are never evicted. Pages of files
are read again when they are used again; anonymous memory goes to swap, or stays where there is
none. Locked memory stays. Shows the generations after it.
` + changeStatus,
		Example: "  safevma mglru evict --cgroup /system.slice/db.service --idle 10m --dry-run\n  safevma mglru evict --cgroup /system.slice/db.service --idle 10m --swappiness 0 --pages 25600",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Idle < 0 {
				return usage(fmt.Errorf("--idle %v: want a time that is not negative", o.Idle))
			}
			return scope.change(cmd, func(list []mglru.Memcg) ([]mglru.Step, error) { return mglru.PlanEvict(list, o) })
		},
	}
	scope.flags(cmd)
	cmd.Flags().DurationVar(&o.Idle, "idle", 0, "what has been idle for this `time` or longer")
	cmd.Flags().IntVar(&o.Swappiness, "swappiness", -1, "`n` from 0, pages of files alone, to 200; -1 is the group's own")
	cmd.Flags().Uint64Var(&o.Pages, "pages", 0, "at most so many `pages` on each node of each group; 0 is all (wants --swappiness)")
	_ = cmd.MarkFlagRequired("idle")
	return cmd
}
