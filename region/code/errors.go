package code

import (
	"errors"
	"fmt"
)

// What is wrong, for errors.Is, beside those of package region: region.ErrClosed, region.ErrSize,
// region.ErrUnsupported, region.ErrLimit.
var (
	// ErrFull reports an arena without place for a program.
	ErrFull = errors.New("the arena is full")
	// ErrSealed reports a change of an arena that is sealed.
	ErrSealed = errors.New("the arena is sealed")
	// ErrFreed reports a program that was freed already.
	ErrFreed = errors.New("the program was freed")
	// ErrSeals reports a memfd that does not have the seals that it was given. It was not mapped.
	ErrSeals = errors.New("the kernel did not keep the seals")
)

func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("code: %s: %w", op, err)
}
