// Command offender runs one seeded offender by hand, until its standard input ends or
// it is interrupted:
//
//	go run ./internal/offender/cmd/offender list
//	go run ./internal/offender/cmd/offender wx
package main

import (
	"os"

	"github.com/safevma/safevma/internal/offender"
)

func main() { os.Exit(offender.Main(os.Args[1:])) }
