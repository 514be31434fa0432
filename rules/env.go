package rules

import (
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// Limits on one expression. All but the last bound what compiling costs. An expression
// without a loop does work that is linear in its own length times the length of the
// facts. One with a loop is stopped at maxCost, where an operation, or ten characters of
// text, is about 1: that is some 10 ms, and enough to look at every option of a kernel's
// configuration.
const (
	maxExpression = 4096 // characters
	maxNodes      = 1000
	maxDepth      = 50
	maxLoops      = 2 // nested
	maxRegexp     = 1000
	maxCost       = 100_000
)

// functions are what an expression may call. Each does work that is at most linear in
// the length of its arguments, and none makes text longer than they are; [lint] refuses
// all others. What is not a loop needs no limit on its cost because of that.
var functions = map[string]bool{
	operators.Conditional: true, operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true,
	operators.Equals: true, operators.NotEquals: true, operators.In: true, operators.Index: true,
	operators.Less: true, operators.LessEquals: true, operators.Greater: true, operators.GreaterEquals: true,
	operators.Add: true, operators.Subtract: true, operators.Multiply: true, operators.Divide: true,
	operators.Modulo: true, operators.Negate: true, operators.NotStrictlyFalse: true,
	"size": true, "contains": true, "startsWith": true, "endsWith": true, "matches": true,
	"int": true, "string": true,
	"iec": true, "hex": true, "join": true,
}

// environments makes, once for each subject, what its expressions are compiled in.
var environments = func() map[Subject]func() (*cel.Env, error) {
	m := make(map[Subject]func() (*cel.Env, error))
	for _, s := range Subjects() {
		m[s] = sync.OnceValues(func() (*cel.Env, error) { return newEnv(s) })
	}
	return m
}()

func newEnv(s Subject) (*cel.Env, error) {
	native := []any{ext.ParseStructTags(true)}
	for _, t := range factStructs {
		native = append(native, t)
	}
	opts := []cel.EnvOption{
		ext.NativeTypes(native...),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(4),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxRegexp),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateComprehensionNestingLimit(maxLoops)),
		cel.Function("iec", cel.Overload("iec_int", []*cel.Type{cel.IntType}, cel.StringType, cel.UnaryBinding(iecValue))),
		cel.Function("hex", cel.Overload("hex_int", []*cel.Type{cel.IntType}, cel.StringType, cel.UnaryBinding(hexValue))),
		cel.Function("join",
			cel.MemberOverload("list_string_join_string", []*cel.Type{cel.ListType(cel.StringType), cel.StringType}, cel.StringType, cel.BinaryBinding(joinValue)),
			cel.MemberOverload("list_int_join_string", []*cel.Type{cel.ListType(cel.IntType), cel.StringType}, cel.StringType, cel.BinaryBinding(joinValue))),
	}
	for _, v := range s.variables() {
		opts = append(opts, cel.Variable(string(v), objectType(v)))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("environment of %s: %w", s, err)
	}
	return env, nil
}

func objectType(s Subject) *cel.Type {
	return cel.ObjectType("rules." + factStructs[s].Name())
}

// programOptions bounds the cost of what has a loop. Tracking costs time, so what has
// none goes without; see [functions].
func programOptions(loops bool) []cel.ProgramOption {
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize | cel.OptPartialEval)}
	if loops {
		opts = append(opts, cel.CostTracking(costs{}), cel.CostLimit(maxCost))
	}
	return opts
}

// costs tells CEL what the functions of this package cost.
type costs struct{}

// CallCost implements the estimator of [cel.CostTracking].
func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	if function != "join" {
		return nil
	}
	cost := uint64(1)
	for _, v := range []ref.Val{args[0], result} {
		if sized, ok := v.(traits.Sizer); ok {
			if n, ok := sized.Size().(types.Int); ok {
				cost += uint64(n)
			}
		}
	}
	return &cost
}
