package vm

import "runtime"

// hostArch is the architecture that this program runs on.
const hostArch = runtime.GOARCH
