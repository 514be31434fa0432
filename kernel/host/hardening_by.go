package host

import (
	"fmt"
	"slices"
	"strings"
)

// How an entry of the hardening table is found to be on or off. What follows from the
// configuration and the command line is an inference.

// configured: on where any of the symbols is on.
func configured(symbols ...string) func(*Facts, *session) Value[bool] {
	return func(f *Facts, _ *session) Value[bool] {
		return then(f.Kernel.Config, func(c Config) (bool, string, error) {
			for _, symbol := range symbols {
				if c.On(symbol) {
					return true, c.Line(symbol), nil
				}
			}
			return false, c.Line(symbols[0]), nil
		}).inferred()
	}
}

// byDefaultOrParam is a defence that every kernel has: a symbol is the default, and the
// command line decides.
func byDefaultOrParam(symbol, param string) func(*Facts, *session) Value[bool] {
	return func(f *Facts, _ *session) Value[bool] {
		return then(f.Kernel.Config, func(c Config) (bool, string, error) {
			return switchable(f, c, symbol, param)
		}).inferred()
	}
}

// switched is a defence that the kernel must be built with (needs), that is on by
// default where another symbol is on ("": never), and that the command line switches.
func switched(needs, byDefault, param string) func(*Facts, *session) Value[bool] {
	return func(f *Facts, _ *session) Value[bool] {
		return then(f.Kernel.Config, func(c Config) (bool, string, error) {
			if !c.On(needs) {
				return false, c.Line(needs), nil
			}
			return switchable(f, c, byDefault, param)
		}).inferred()
	}
}

func switchable(f *Facts, c Config, byDefault, param string) (on bool, raw string, err error) {
	params, err := f.Kernel.Cmdline.Get()
	if err != nil {
		return false, "", err
	}
	if p, ok := params.Lookup(param); ok {
		on, err := parseKernelBool(p.Value)
		if err != nil { // kernels differ in what they make of it
			return false, p.String(), fmt.Errorf("%s: %w", param, err)
		}
		return on, p.String(), nil
	}
	raw = "no " + param + " on the command line"
	if byDefault != "" {
		raw = c.Line(byDefault) + "; " + raw
	}
	return c.On(byDefault), raw, nil
}

// without is a defence that is built in, and that one of some values of a parameter
// takes away.
func without(symbol, param string, values ...string) func(*Facts, *session) Value[bool] {
	return func(f *Facts, _ *session) Value[bool] {
		return then(f.Kernel.Config, func(c Config) (bool, string, error) {
			if !c.On(symbol) {
				return false, c.Line(symbol), nil
			}
			params, err := f.Kernel.Cmdline.Get()
			if err != nil {
				return false, "", err
			}
			if p, ok := params.Lookup(param); ok {
				return !slices.Contains(values, p.Value), p.String(), nil
			}
			return true, c.Line(symbol) + "; no " + param + " on the command line", nil
		}).inferred()
	}
}

// flag is an extension of the processor that the kernel says it uses.
func flag(name string) func(*Facts, *session) Value[bool] {
	return func(f *Facts, _ *session) Value[bool] {
		return then(f.CPU.Info, func(c CPUInfo) (bool, string, error) {
			if c.Has(name) {
				return true, name, nil
			}
			return false, "no " + name + " in: " + strings.Join(c.Flags, " "), nil
		})
	}
}

// both is on where a and b are; what is known to be off decides.
func both(a, b func(*Facts, *session) Value[bool]) func(*Facts, *session) Value[bool] {
	return func(f *Facts, s *session) Value[bool] {
		va := a(f, s)
		if !va.Known() || !va.V {
			if vb := b(f, s); !va.Known() && vb.Known() && !vb.V {
				return vb
			}
			return va
		}
		return b(f, s)
	}
}

// effect asks something that can be seen, and the configuration where that is absent or
// denied. What is seen and makes no sense stays unknown.
func effect(seen func(*Facts, *session) Value[bool], config func(*Facts, *session) Value[bool]) func(*Facts, *session) Value[bool] {
	return func(f *Facts, s *session) Value[bool] {
		v := seen(f, s)
		if v.Known() || ReasonOf(v.Err) == Malformed {
			return v
		}
		if c := config(f, s); c.Known() {
			return c
		}
		return v
	}
}

func inverted(v Value[bool]) Value[bool] {
	return then(v, func(on bool) (bool, string, error) { return !on, "", nil })
}
