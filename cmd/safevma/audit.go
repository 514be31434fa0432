package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/audit/manifest"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/term"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/rules"
)

type auditFlags struct {
	all, host, verbose bool
	pids               []string
	cgroups            []string
	rules              []string
	declare            []string
	manifest           string
	failOn             string
	proc               string
	output             output
}

func newAudit() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Say where memory is not safe: in all processes, and on the host",
		Long: `Reads every process and the host, and applies rules to what the kernel says of them.
Each verdict names its rule, the raw line that proves it, and the control that shows that
the reading can see what it claims to.

A rule pack is "baseline" (any host), "safety" (what a mixed-criticality system asks),
or a file; see "safevma rules". Rules about declared workloads need --declare.`,
		Example: `  safevma audit                                   all processes and the host
  safevma audit --pid 812 --output json           one process
  safevma audit --rules baseline,safety --declare exe=/usr/sbin/brake
  safevma audit --declare name=brake --manifest brake.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "judge all processes and the host; so it is without --pid, --cgroup and --host")
	flags.StringSliceVar(&f.pids, "pid", nil, "judge the processes with these `ids`; self is this program")
	flags.StringSliceVar(&f.cgroups, "cgroup", nil, "judge the processes in these `cgroups` and below")
	flags.BoolVar(&f.host, "host", false, "judge the host: alone, or besides --pid and --cgroup")
	flags.StringSliceVar(&f.rules, "rules", []string{"baseline"}, "rule `packs`: baseline, safety, or files")
	flags.StringArrayVar(&f.declare, "declare", nil, "declare a workload whose guarantees are asked: a `selector` such as exe=/usr/sbin/brake, name=brake*, cgroup=/safety, pid=N or uid=N; may be repeated")
	flags.StringVar(&f.manifest, "manifest", "", "compare the declared processes, or those of --pid, with this `file` of \"safevma baseline\"")
	flags.StringVar(&f.failOn, "fail-on", "info", "exit with 1 for findings of this `severity` or worse: info, low, medium, high or critical")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show all subjects, raw lines and controls")
	flags.StringVar(&f.proc, "proc", "/proc", "read another proc file system, or a copy of one: nothing can hold there, since nothing can be tried")
	f.output.flag(cmd)
	_ = cmd.RegisterFlagCompletionFunc("rules", cobra.FixedCompletions(rules.EmbeddedNames(), cobra.ShellCompDirectiveDefault))
	_ = cmd.RegisterFlagCompletionFunc("pid", completePID)
	_ = cmd.RegisterFlagCompletionFunc("declare", cobra.FixedCompletions([]string{"pid=", "name=", "exe=", "cgroup=", "uid="}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"info", "low", "medium", "high", "critical"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsMutuallyExclusive("all", "host")
	cmd.MarkFlagsMutuallyExclusive("all", "pid")
	cmd.MarkFlagsMutuallyExclusive("all", "cgroup")
	return cmd
}

func (f *auditFlags) run(cmd *cobra.Command) error {
	asJSON, err := f.output.json()
	if err != nil {
		return err
	}
	if !guarantee.Severity(f.failOn).Valid() {
		return usage(fmt.Errorf("--fail-on %s: want info, low, medium, high or critical", f.failOn))
	}
	// A variable of a script that is empty by mistake must not change what is judged.
	for _, name := range []string{"pid", "cgroup", "manifest", "proc"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && strings.Trim(flag.Value.String(), "[]") == "" {
			return usage(fmt.Errorf("--%s is empty", name))
		}
	}
	config, err := f.config()
	if err != nil {
		return usage(err)
	}
	progress := term.NewProgress(os.Stderr, "reading processes")
	config.Progress = progress.Step
	report, err := audit.Run(cmd.Context(), config)
	progress.Done()
	if err != nil {
		return internal(err)
	}
	if asJSON {
		err = report.WriteJSON(cmd.OutOrStdout())
	} else {
		w := term.NewWriter(cmd.OutOrStdout(), os.Environ())
		w.Report(report, term.ReportOptions{Verbose: f.verbose})
		err = w.Err()
	}
	if err != nil {
		return internal(err)
	}
	return verdictExit(report, guarantee.Severity(f.failOn))
}

// verdictExit: findings win over what could not be measured.
func verdictExit(r *guarantee.Report, failOn guarantee.Severity) error {
	if slices.ContainsFunc(r.Verdicts, func(v guarantee.Verdict) bool {
		return v.Status == guarantee.Broken && v.Severity.AtLeast(failOn)
	}) {
		return &exit{status: exitFindings}
	}
	if r.Summary.Unknown > 0 {
		return &exit{status: exitNotMeasurable}
	}
	return nil
}

func (f *auditFlags) config() (audit.Config, error) {
	scoped := len(f.pids)+len(f.cgroups) > 0
	config := audit.Config{Proc: process.At(f.proc), HostOnly: f.host && !scoped, SkipHost: scoped && !f.host, PolicyHelper: policyHelper(), Tool: tool()}
	if err := checkProc(f.proc); err != nil {
		return config, fmt.Errorf("--proc: %w", err)
	}
	var err error
	if config.Rules, err = loadRules(f.rules); err != nil {
		return config, err
	}
	var scope []string
	for _, arg := range f.pids {
		pid, err := parsePID(arg)
		if err != nil {
			return config, fmt.Errorf("--pid: %w", err)
		}
		scope = append(scope, fmt.Sprintf("pid=%d", pid))
	}
	for _, cgroup := range f.cgroups {
		scope = append(scope, "cgroup="+cgroup)
	}
	if config.Scope, err = selectors(scope); err != nil {
		return config, err
	}
	if config.Declared, err = selectors(f.declare); err != nil {
		return config, fmt.Errorf("--declare: %w", err)
	}
	if f.manifest != "" {
		if config.Manifest, err = loadManifest(f.manifest); err != nil {
			return config, err
		}
		if len(config.Declared)+len(config.Scope) == 0 {
			return config, errors.New("--manifest: say which processes it is for with --pid or --declare")
		}
	}
	return config, nil
}

// checkProc refuses a directory that can't be a proc file system or a copy of one: it
// would be a host without processes.
func checkProc(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		_, err := strconv.ParseUint(e.Name(), 10, 32)
		return err == nil && e.IsDir() || slices.Contains([]string{"stat", "self", "version", "sys"}, e.Name())
	}) {
		return fmt.Errorf("%s is no proc file system, nor a copy of one", root)
	}
	return nil
}

func selectors(texts []string) ([]audit.Selector, error) {
	var all []audit.Selector
	for _, text := range texts {
		s, err := audit.ParseSelector(text)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func loadManifest(file string) (*manifest.Manifest, error) {
	r, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	m, err := manifest.Load(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

// loadRules loads embedded packs by their names and others as files, each once.
func loadRules(names []string) ([]*rules.Rule, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("there are no rules: name a pack (%s) or a file", strings.Join(rules.EmbeddedNames(), ", "))
	}
	var packs []*rules.Pack
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		if slices.Contains(rules.EmbeddedNames(), name) {
			pack, err := rules.Embedded(name)
			if err != nil {
				return nil, err
			}
			packs = append(packs, pack)
			continue
		}
		if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("rules %q: no such file, and no pack of that name (there are %s)", name, strings.Join(rules.EmbeddedNames(), ", "))
		}
		loaded, err := rules.LoadFiles(name)
		if err != nil {
			return nil, err
		}
		packs = append(packs, loaded...)
	}
	return rules.Join(packs...)
}
