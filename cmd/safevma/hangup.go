package main

import (
	"context"
	"os/signal"
	"syscall"
)

// hangup returns a context that ends when the terminal hangs up, too: for what is to be ended
// in order then, though there is nobody left to be told. nohup(1) is heeded. done stops that,
// and returns the exit where it came so.
func hangup(ctx context.Context) (here context.Context, done func() error) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() error { return nil }
	}
	here, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	return here, func() error {
		hungUp := here.Err() != nil && ctx.Err() == nil
		stop()
		if !hungUp {
			return nil
		}
		by := interruption(syscall.SIGHUP)
		return &exit{by.status(), by}
	}
}
