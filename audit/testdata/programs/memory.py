"""Maps memory and a file, and calls C with a callback, then waits for the end of its input."""
import ctypes
import mmap
import sys
import tempfile

anonymous = mmap.mmap(-1, 1 << 20)
anonymous[0] = 1
with tempfile.TemporaryFile() as f:
    f.truncate(1 << 16)
    shared = mmap.mmap(f.fileno(), 1 << 16)
shared[:4] = b"safe"

compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(lambda a, b: a[0] - b[0])
numbers = (ctypes.c_int * 4)(4, 2, 3, 1)
ctypes.CDLL(None).qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), compare)
assert list(numbers) == [1, 2, 3, 4]

print("ready", flush=True)
sys.stdin.read()
