/*
 * What the C contenders share: clocks, the addresses that they touch, and the lines that
 * they print for the driver, as package measure of the Go side has them.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct moment {
	uint64_t wall, cpu; /* ns; the CPU time is that of all threads */
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct moment now(void)
{
	return (struct moment){clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_PROCESS_CPUTIME_ID)};
}

/* spent adds what passed since a moment. */
static inline void spent(struct moment *sum, struct moment since)
{
	struct moment m = now();
	sum->wall += m.wall - since.wall;
	sum->cpu += m.cpu - since.cpu;
}

static inline void print_measure(const char *name, long ops, struct moment took)
{
	printf("measure %s %ld %llu %llu\n", name, ops, (unsigned long long)took.wall, (unsigned long long)took.cpu);
}

/* mix is one to one: different keys stay different, in no order (the finaliser of MurmurHash3). */
static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53u;
	x ^= x >> 33;
	return x;
}

_Noreturn static void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static inline long count_of(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);
	if (*end || n < 1)
		die(text, "not a count");
	return n;
}

#endif
