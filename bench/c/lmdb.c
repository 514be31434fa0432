/*
 * Durable commits of LMDB, one put each. It has one writer at a time, and no group commit.
 *
 * usage: lmdb sync|writemap WRITERS OPS FOLDER
 */
#include <lmdb.h>
#include <pthread.h>

#include "measure.h"

#define MAP_SIZE (1ul << 30)
#define VALUE 100

static MDB_env *env;
static MDB_dbi dbi;
static long writers, ops;
static uint64_t *latency; /* of each operation, ns */

static void check(int rc, const char *what)
{
	if (rc)
		die(what, mdb_strerror(rc));
}

static void put(uint64_t key, uint64_t value)
{
	char bytes[VALUE];
	MDB_txn *txn;
	MDB_val k = {sizeof key, &key}, v = {sizeof bytes, bytes};

	memset(bytes, (int)value, sizeof bytes);
	check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	check(mdb_put(txn, dbi, &k, &v, 0), "put");
	check(mdb_txn_commit(txn), "commit");
}

/* write_share puts every key of one writer: i, i + writers, ... */
static void *write_share(void *first)
{
	for (long i = (long)(intptr_t)first; i < ops; i += writers) {
		uint64_t start = clock_ns(CLOCK_MONOTONIC);
		put(mix(i), i);
		latency[i] = clock_ns(CLOCK_MONOTONIC) - start;
	}
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void print_note(void)
{
	qsort(latency, ops, sizeof *latency, ascending);
	printf("note %d.%d.%d; half of the commits took up to %lu µs, 99 %% up to %lu µs, the slowest %lu µs\n", MDB_VERSION_MAJOR,
	       MDB_VERSION_MINOR, MDB_VERSION_PATCH, (unsigned long)latency[ops / 2] / 1000, (unsigned long)latency[ops * 99 / 100] / 1000,
	       (unsigned long)latency[ops - 1] / 1000);
}

static void open_env(const char *folder, unsigned flags)
{
	MDB_txn *txn;

	check(mdb_env_create(&env), "create");
	check(mdb_env_set_mapsize(env, MAP_SIZE), "map size");
	check(mdb_env_open(env, folder, flags, 0600), "open");
	check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	check(mdb_dbi_open(txn, NULL, 0, &dbi), "open");
	check(mdb_txn_commit(txn), "commit");
}

static void verify(void)
{
	MDB_stat st;

	check(mdb_env_stat(env, &st), "stat");
	if (st.ms_entries != (size_t)ops)
		die("verify", "some keys are not there");
}

int main(int argc, char **argv)
{
	if (argc != 5)
		die("usage", "lmdb sync|writemap WRITERS OPS FOLDER");
	writers = count_of(argv[2]);
	ops = count_of(argv[3]);
	open_env(argv[4], strcmp(argv[1], "writemap") ? 0 : MDB_WRITEMAP);

	pthread_t *threads = calloc(writers, sizeof *threads);
	latency = calloc(ops, sizeof *latency);
	if (!threads || !latency)
		die("calloc", strerror(errno));
	struct moment took = {0, 0}, start = now();
	for (long i = 0; i < writers; i++)
		check(pthread_create(&threads[i], NULL, write_share, (void *)(intptr_t)i), "thread");
	for (long i = 0; i < writers; i++)
		pthread_join(threads[i], NULL);
	spent(&took, start);
	verify();
	print_measure("commit", ops, took);
	print_note();
	free(threads);
	free(latency);
	mdb_env_close(env);
	return 0;
}
