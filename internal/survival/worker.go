package survival

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// Size is that of the pool, in bytes.
const Size = 16 << 20

// Open opens the pool, or makes it where there is none. Its log is short, so that there are many
// checkpoints, and chains of records.
func (c *Config) Open() (*pmem.Pool, error) {
	o := pmem.Options{LogSize: 24 << 10, LogExtent: 2 << 10, Medium: medium.Options{AssumeDAX: c.AssumeDAX}}
	p, err := pmem.Open(c.File, o)
	if errors.Is(err, fs.ErrNotExist) {
		return pmem.Create(c.File, Size, o)
	}
	return p, err
}

// Main is a process that works until somebody ends it. Its argument is a [Config] as JSON; it
// reports to out.
func Main(ctx context.Context, argument string, out io.Writer) error {
	err := serve(ctx, argument, out)
	if err != nil {
		fmt.Fprintf(out, "%c%s\n", eventFailed, oneLine(err))
	}
	return err
}

func oneLine(err error) string { return fmt.Sprintf("%q", err.Error()) }

func serve(ctx context.Context, argument string, out io.Writer) error {
	var c Config
	if err := json.Unmarshal([]byte(argument), &c); err != nil {
		return err
	}
	p, err := c.Open()
	if err != nil {
		return err
	}
	defer p.Close()
	if err := c.check(ctx, p, out); err != nil {
		return err
	}
	if c.CheckOnly {
		return p.Close()
	}
	w, err := newWork(ctx, p, c, out)
	if err != nil {
		return err
	}
	return w.run(ctx)
}

// check is what a process does before it works.
func (c *Config) check(ctx context.Context, p *pmem.Pool, out io.Writer) error {
	if kind := p.Info().Medium.Kind.String(); c.Medium != "" && kind != c.Medium {
		return fmt.Errorf("%s is %s: %+v", c.File, kind, p.Info().Medium)
	}
	if c.Medium == medium.DAX.String() && !c.AssumeDAX {
		if err := checkSync(c.File); err != nil {
			return err
		}
	}
	if c.Progress == nil {
		return nil
	}
	r, err := Check(ctx, p, c.Progress, false)
	if err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%c%s\n", eventChecked, text)
	return err
}
