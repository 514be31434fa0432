/*
 * The primitives of persistent memory, in C, for BenchmarkBesideC: prints nanoseconds of
 * CPU time an operation of one of them. The memory is a memfd, the instructions are those of
 * the assembly (CLWB, MOVNTDQ, SFENCE), the addresses those of the Go loop.
 *
 * usage: primitives NAME COUNT
 */
#define _GNU_SOURCE
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SIZE (64UL << 20)
#define LINE 64UL

static char *memory;
static char source[4096] __attribute__((aligned(64)));

static inline uint64_t next(uint64_t x) { return x * 6364136223846793005ULL + 1442695040888963407ULL; }

static inline void flush(char *p, size_t n)
{
	char *end = p + n;
	for (p = (char *)((uintptr_t)p & ~(LINE - 1)); p < end; p += LINE)
		_mm_clwb(p);
}

static inline void stream(char *dst, const char *src, size_t n)
{
	for (; n >= 64; n -= 64, dst += 64, src += 64) {
		__m128i a = _mm_loadu_si128((const __m128i *)src), b = _mm_loadu_si128((const __m128i *)(src + 16));
		__m128i c = _mm_loadu_si128((const __m128i *)(src + 32)), d = _mm_loadu_si128((const __m128i *)(src + 48));
		_mm_stream_si128((__m128i *)dst, a);
		_mm_stream_si128((__m128i *)(dst + 16), b);
		_mm_stream_si128((__m128i *)(dst + 32), c);
		_mm_stream_si128((__m128i *)(dst + 48), d);
	}
}

static void store_persist(long count)
{
	uint64_t x = 1;
	for (long i = 0; i < count; i++) {
		x = next(x);
		char *p = memory + (x >> 20) % (SIZE / LINE) * LINE;
		*(volatile uint64_t *)p = x;
		flush(p, 8);
		_mm_sfence();
	}
}

static void append(long count, size_t n)
{
	size_t off = 0;
	for (long i = 0; i < count; i++) {
		stream(memory + off, source, n);
		_mm_sfence();
		off = (off + n) % SIZE;
	}
}

static void persist(long count, size_t lines)
{
	uint64_t x = 1;
	for (long i = 0; i < count; i++) {
		x = next(x);
		char *p = memory + (x >> 20) % (SIZE / LINE - lines) * LINE;
		for (size_t l = 0; l < lines; l++)
			*(volatile uint64_t *)(p + l * LINE) = x;
		flush(p, lines * LINE);
		_mm_sfence();
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	long count = atol(argv[2]);
	int fd = memfd_create("primitives", 0);
	if (fd < 0 || ftruncate(fd, SIZE))
		return 1;
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (memory == MAP_FAILED)
		return 1;
	memset(memory, 1, SIZE);
	memset(source, 2, sizeof source);

	struct timespec from, to;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	if (!strcmp(argv[1], "store_persist"))
		store_persist(count);
	else if (!strncmp(argv[1], "append_", 7))
		append(count, atol(argv[1] + 7));
	else if (!strncmp(argv[1], "persist_", 8))
		persist(count, atol(argv[1] + 8));
	else
		return 2;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	printf("%.2f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / count);
	return 0;
}
