// Command worker is the process of package survival, for machines of the lab.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/safevma/safevma/internal/survival"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: worker CONFIG")
		os.Exit(2)
	}
	if err := survival.Main(context.Background(), os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
