// Package view looks at address ranges of a process from the kernel's side: what the VMAs
// there say, what their pages are, and how both look for ordinary memory, which is the control
// of every reading.
package view
