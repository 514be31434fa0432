package line

type variant struct {
	name   string
	choose func() (restore func())
}

func variants() []variant {
	return []variant{{"dc cvap", func() func() { return func() {} }}}
}
