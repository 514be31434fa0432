package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// stdout is standard output that keeps its first error: whatever a verb makes of it, an
// output that was not written whole is not a success. It is still seen as a terminal
// where it is one.
type stdout struct {
	*os.File
	err error
}

// Write implements io.Writer.
func (s *stdout) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.File.Write(b)
	s.err = err
	return n, err
}

// WriteString and ReadFrom must not go past Write.
func (s *stdout) WriteString(text string) (int, error) { return s.Write([]byte(text)) }

// ReadFrom implements io.ReaderFrom.
func (s *stdout) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{s}, r)
}

// writeJSON writes one value for machines.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return internal(err)
	}
	return nil
}

// output is the flag that chooses between text for people and JSON for machines.
type output string

func (o *output) flag(cmd *cobra.Command) {
	*o = "text"
	cmd.Flags().StringVarP((*string)(o), "output", "o", "text", "`format`: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o output) json() (bool, error) {
	switch o {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, usage(fmt.Errorf("--output %s: want text or json", string(o)))
}
