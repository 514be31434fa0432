/*
 * The transactions of libpmemobj. Without setjmp, and with the addresses of the objects
 * looked up before: what a program could save, it does.
 *
 * usage: pmemobj tx LINES OPS FOLDER     transactions that change LINES objects of 64 bytes
 *        pmemobj alloc BATCH OPS FOLDER  transactions that allocate one object of 64 bytes,
 *                                      then transactions that free it; BATCH live at most
 */
#include <libpmemobj.h>

#include "measure.h"

#define POOL_SIZE (64u << 20)
#define OBJECT 64
#define OBJECTS (1u << 16) /* power of two; STEP is odd: what a transaction touches is distinct */
#define STEP 40503u

static PMEMobjpool *pool;

static void check(int failed, const char *what)
{
	if (failed)
		die(what, pmemobj_errormsg());
}

/* touch changes the bytes of an object's value so that each transaction writes something new. */
static void touch(char *value, uint64_t x)
{
	for (int i = 0; i < OBJECT; i += 8)
		memcpy(value + i, &x, 8);
}

static void change(char *objects[], long lines, uint64_t i)
{
	char value[OBJECT];
	uint64_t at = mix(i);

	touch(value, i + 1);
	check(pmemobj_tx_begin(pool, NULL, TX_PARAM_NONE), "begin");
	for (long k = 0; k < lines; k++, at += STEP) {
		char *object = objects[at % OBJECTS];
		check(pmemobj_tx_add_range_direct(object, OBJECT), "add range");
		memcpy(object, value, OBJECT);
	}
	pmemobj_tx_commit();
	check(pmemobj_tx_end(), "commit");
}

static void tx(long lines, long ops)
{
	static char *objects[OBJECTS];
	struct moment took = {0, 0};

	for (unsigned i = 0; i < OBJECTS; i++) {
		PMEMoid oid;
		check(pmemobj_zalloc(pool, &oid, OBJECT, 1), "allocate");
		objects[i] = pmemobj_direct(oid);
	}
	for (long i = 0; i < ops / 10; i++)
		change(objects, lines, i);
	struct moment start = now();
	for (long i = 0; i < ops; i++)
		change(objects, lines, i);
	spent(&took, start);
	for (long k = 0; k < lines; k++) {
		uint64_t last;
		memcpy(&last, objects[(mix(ops - 1) + k * STEP) % OBJECTS], 8);
		if (last != (uint64_t)ops)
			die("verify", "the last transaction is not there");
	}
	print_measure("tx", ops, took);
}

static PMEMoid allocate(uint64_t i)
{
	char value[OBJECT];

	touch(value, i);
	check(pmemobj_tx_begin(pool, NULL, TX_PARAM_NONE), "begin");
	PMEMoid oid = pmemobj_tx_alloc(OBJECT, 1);
	check(OID_IS_NULL(oid), "allocate");
	memcpy(pmemobj_direct(oid), value, OBJECT);
	pmemobj_tx_commit();
	check(pmemobj_tx_end(), "commit");
	return oid;
}

static void release(PMEMoid oid)
{
	check(pmemobj_tx_begin(pool, NULL, TX_PARAM_NONE), "begin");
	check(pmemobj_tx_free(oid), "free");
	pmemobj_tx_commit();
	check(pmemobj_tx_end(), "commit");
}

static void alloc(long batch, long ops)
{
	PMEMoid *live = calloc(batch, sizeof *live);
	struct moment allocs = {0, 0}, frees = {0, 0};
	long done = 0;

	if (!live)
		die("calloc", strerror(errno));
	for (int warm = 1; done < ops; warm = 0) {
		struct moment start = now();
		for (long i = 0; i < batch; i++)
			live[i] = allocate(i);
		if (!warm)
			spent(&allocs, start);
		start = now();
		for (long i = 0; i < batch; i++)
			release(live[i]);
		if (!warm) {
			spent(&frees, start);
			done += batch;
		}
	}
	check(!OID_IS_NULL(pmemobj_first(pool)), "verify: something is left");
	free(live);
	print_measure("alloc", done, allocs);
	print_measure("free", done, frees);
}

int main(int argc, char **argv)
{
	char name[4096];
	int populate = 1;

	if (argc != 5 || snprintf(name, sizeof name, "%s/pool", argv[4]) >= (int)sizeof name)
		die("usage", "pmemobj tx|alloc N OPS FOLDER");
	check(pmemobj_ctl_set(NULL, "prefault.at_create", &populate), "prefault");
	pool = pmemobj_create(name, "bench", POOL_SIZE, 0600);
	check(!pool, "create");
	if (!strcmp(argv[1], "tx"))
		tx(count_of(argv[2]), count_of(argv[3]));
	else if (!strcmp(argv[1], "alloc"))
		alloc(count_of(argv[2]), count_of(argv[3]));
	else
		die(argv[1], "no such work");
	pmemobj_close(pool);
	printf("note %s; pool of %u MiB, its pages touched beforehand\n", VERSION, POOL_SIZE >> 20);
	return 0;
}
