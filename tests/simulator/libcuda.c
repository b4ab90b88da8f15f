/* A simulated CUDA driver: the calls that edgevae makes, on a machine without a GPU.
 *
 *   device address (no access)      alias (host memory)
 *   base ---------------------      alias_base ----------
 *        | block | hole | block |        the same offsets: sim_map() turns one into the other
 *
 * Each stream is a queue with a thread of its own that works late (a random delay before each operation), so work that
 * nobody waited for shows as wrong data. Memory is filled with garbage, addresses are never given twice, and every
 * operation checks that what it touches is alive when it runs, not only when it is enqueued. It is stricter than a GPU:
 * freeing memory or host buffers does not wait for the work that uses them, and streams never wait for the default one.
 *
 * Simulated: our calls and their order. Not simulated: speed, kernels, anything of TensorRT, capture across streams.
 *
 * Settings (environment): EDGEVAE_SIMULATED_ + MEMORY_MIB, DELAY_US, GPUS, CAPABILITY (87), INTEGRATED, CUDA (13000),
 * INIT (what cuInit returns).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int CUresult;
typedef unsigned long long addr_t;
typedef void *handle_t;
#define EXPORT __attribute__((visibility("default")))
#define GiB (1ULL << 30)
#define ARENA (256 * GiB)
#define PAGE 4096ULL
#define MAX_GPUS 8

#define ERRORS(X)                                                                                                      \
    X(0, SUCCESS) X(1, INVALID_VALUE) X(2, OUT_OF_MEMORY) X(3, NOT_INITIALIZED) X(100, NO_DEVICE)                      \
    X(101, INVALID_DEVICE) X(201, INVALID_CONTEXT) X(400, INVALID_HANDLE) X(500, NOT_FOUND) X(600, NOT_READY)          \
    X(700, ILLEGAL_ADDRESS) X(709, CONTEXT_IS_DESTROYED) X(801, NOT_SUPPORTED) X(803, SYSTEM_DRIVER_MISMATCH)          \
    X(900, STREAM_CAPTURE_UNSUPPORTED) X(901, STREAM_CAPTURE_INVALIDATED) X(905, STREAM_CAPTURE_ISOLATION)             \
    X(908, STREAM_CAPTURE_WRONG_THREAD) X(999, UNKNOWN)
#define AS_ENUM(number, name) name = number,
enum { ERRORS(AS_ENUM) };

enum { DEVICE_BLOCK, HOST_BLOCK, STREAM, EVENT, GRAPH, EXEC, KINDS };
enum { COPY, SET, RECORD, WAIT, CALL, LAUNCH };
enum { CAPTURE_GLOBAL, CAPTURE_THREAD_LOCAL, CAPTURE_RELAXED };

typedef struct object { int kind, refs; struct object *next; } object;
typedef struct { object o; addr_t address; size_t nbytes; int gpu, mapped; } block;
typedef struct { object o; int timing; unsigned long recorded, done; double at_ms; } event;
typedef struct op {
    int what, value;
    addr_t to, from;
    size_t nbytes;
    char *staged; /* a copy of pageable source memory, as the driver makes */
    event *event;
    unsigned long number; /* of the event's record, or of the graph's launch */
    struct graph *graph;
    void (*function)(void *);
    void *data;
    struct op *next;
} op;
typedef struct graph { object o; op *first, **last; unsigned long launched, done; } graph;
typedef struct {
    object o;
    op *first, **last;
    unsigned long enqueued, done;
    int is_closing, is_capturing, mode, is_invalid;
    pthread_t owner;
    graph *noted;
} stream;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static object *objects[KINDS];
static long counts[KINDS];
static stream *default_streams[2];
static addr_t base, alias_base, next_offset;
static size_t used_bytes[MAX_GPUS];
static int is_initialised, retained[MAX_GPUS], failed, violations;
static char violation[256] = "";
static __thread int stack[32], depth; /* contexts of this thread: 1 + GPU, 0 for none */
static char contexts[MAX_GPUS];

static long setting(const char *name, long otherwise) {
    char key[64];
    snprintf(key, sizeof key, "EDGEVAE_SIMULATED_%s", name);
    const char *value = getenv(key);
    return value && *value ? atol(value) : otherwise;
}

static size_t total_bytes(void) { return (size_t)setting("MEMORY_MIB", 2048) << 20; }

static int current(void) { return depth ? stack[depth - 1] - 1 : -1; }

/* Why a call that needs a context cannot go on, or SUCCESS. */
static CUresult refusal(void) {
    if (!is_initialised) return NOT_INITIALIZED;
    if (current() < 0) return INVALID_CONTEXT;
    return retained[current()] ? SUCCESS : CONTEXT_IS_DESTROYED;
}
#define NEED_CONTEXT() do { CUresult why = refusal(); if (why) return why; } while (0)

/* ---- objects; all with `lock` held ---- */

static void *create(int kind, size_t nbytes) {
    object *o = calloc(1, nbytes);
    o->kind = kind, o->refs = 1, o->next = objects[kind], objects[kind] = o, counts[kind]++;
    return o;
}

static void *find(int kind, const void *handle) {
    for (object *o = objects[kind]; o; o = o->next)
        if (o == handle) return o;
    return NULL;
}

static void drop(object *o);

static void drop_op(op *one) {
    if (one->event) drop(&one->event->o);
    if (one->graph) drop(&one->graph->o);
    free(one->staged);
    free(one);
}

static void drop(object *o) {
    if (--o->refs) return;
    if (o->kind == GRAPH || o->kind == EXEC)
        for (op *one = ((graph *)o)->first, *next; one; one = next) next = one->next, drop_op(one);
    free(o);
}

static CUresult destroy(int kind, void *handle) {
    for (object **at = &objects[kind]; *at; at = &(*at)->next)
        if (*at == handle) {
            object *o = *at;
            *at = o->next, counts[kind]--;
            drop(o);
            return SUCCESS;
        }
    return kind == DEVICE_BLOCK || kind == HOST_BLOCK ? INVALID_VALUE : INVALID_HANDLE;
}

/* ---- memory ---- */

static block *block_of(addr_t address, size_t nbytes) {
    for (int kind = DEVICE_BLOCK; kind <= HOST_BLOCK; kind++)
        for (object *o = objects[kind]; o; o = o->next) {
            block *b = (block *)o;
            if (address >= b->address && address - b->address + nbytes <= b->nbytes) return b;
        }
    return NULL;
}

static int is_device_address(addr_t address) { return address >= base && address < base + ARENA; }

static int is_alias(addr_t address) { return address >= alias_base && address < alias_base + ARENA; }

/* Return host memory for what an operation touches: a device address, or page-locked or other host memory. */
static char *reach(addr_t address, size_t nbytes) {
    if (is_device_address(address)) {
        block *b = block_of(address, nbytes);
        return b && (b->o.kind == DEVICE_BLOCK || b->mapped) ? (char *)(address - base + alias_base) : NULL;
    }
    if (is_alias(address)) {
        block *b = block_of(address - alias_base + base, nbytes);
        return b && b->o.kind == HOST_BLOCK ? (char *)address : NULL;
    }
    return (char *)address;
}

static CUresult new_block(int kind, size_t nbytes, int mapped, block **out) {
    if (!nbytes) return INVALID_VALUE;
    if (kind == DEVICE_BLOCK && nbytes > total_bytes() - used_bytes[current()]) return OUT_OF_MEMORY;
    size_t room = (nbytes + 2 * PAGE - 1) / PAGE * PAGE; /* and at least a byte less than a page of nothing after it */
    if (nbytes > ARENA || next_offset + room + PAGE > ARENA) return OUT_OF_MEMORY;
    block *b = create(kind, sizeof *b);
    b->address = base + next_offset, b->nbytes = nbytes, b->gpu = current(), b->mapped = mapped;
    next_offset += room + PAGE;
    memset((void *)(b->address - base + alias_base), 0xA5, nbytes < (16 << 20) ? nbytes : 16 << 20);
    if (kind == DEVICE_BLOCK) used_bytes[b->gpu] += nbytes;
    *out = b;
    return SUCCESS;
}

static CUresult free_block(int kind, addr_t address) {
    block *b = block_of(address, 1);
    if (!b || b->address != address || b->o.kind != kind) return INVALID_VALUE;
    if (kind == DEVICE_BLOCK) used_bytes[b->gpu] -= b->nbytes;
    madvise((void *)(address - base + alias_base), b->nbytes, MADV_DONTNEED);
    return destroy(kind, b);
}

/* ---- streams ---- */

static void report(const char *what, addr_t address, size_t nbytes) {
    violations++, failed = ILLEGAL_ADDRESS;
    snprintf(violation, sizeof violation, "%s touches %zu bytes at 0x%llx, which are not alive", what, nbytes, address);
    fprintf(stderr, "simulated CUDA: %s\n", violation);
}

static void wait_a_little(void) {
    static __thread unsigned seed;
    long most = setting("DELAY_US", 200);
    if (!seed) seed = (unsigned)(size_t)&seed ^ (unsigned)time(NULL);
    if (most > 0) usleep((useconds_t)(rand_r(&seed) % (most + 1)));
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* Do one operation; `lock` is held, and let go of meanwhile where the operation waits or calls. */
static void perform(op *one) {
    pthread_mutex_unlock(&lock);
    wait_a_little();
    pthread_mutex_lock(&lock);
    if (one->what == COPY || one->what == SET) {
        char *to = reach(one->to, one->nbytes);
        char *from = one->what == SET ? NULL : one->staged ? one->staged : reach(one->from, one->nbytes);
        if (!to) report("a write", one->to, one->nbytes);
        else if (one->what == SET) memset(to, one->value, one->nbytes);
        else if (!from) report("a read", one->from, one->nbytes);
        else memmove(to, from, one->nbytes);
    } else if (one->what == RECORD) {
        one->event->done = one->number, one->event->at_ms = now_ms();
    } else if (one->what == WAIT) {
        while (one->event->done < one->number) pthread_cond_wait(&changed, &lock);
    } else if (one->what == CALL) {
        pthread_mutex_unlock(&lock);
        one->function(one->data);
        pthread_mutex_lock(&lock);
    } else { /* launches of one graph run one after the other, on whatever streams */
        while (one->graph->done + 1 < one->number) pthread_cond_wait(&changed, &lock);
        for (op *node = one->graph->first; node; node = node->next) perform(node);
        one->graph->done = one->number;
    }
}

static void *work(void *argument) {
    stream *s = argument;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!s->first && !s->is_closing) pthread_cond_wait(&changed, &lock);
        if (!s->first) break;
        op *one = s->first;
        if (!failed) perform(one);
        if (failed && one->event) one->event->done = one->number; /* nobody waits for ever */
        if (failed && one->graph) one->graph->done = one->number;
        if (!(s->first = one->next)) s->last = &s->first;
        drop_op(one);
        s->done++;
        pthread_cond_broadcast(&changed);
    }
    drop(&s->o);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static stream *new_stream(void) {
    stream *s = create(STREAM, sizeof *s);
    pthread_t thread;
    s->last = &s->first, s->o.refs++;
    pthread_create(&thread, NULL, work, s);
    pthread_detach(thread);
    return s;
}

/* Handles 0 and 1 are the default stream, 2 is that of the thread (here: one for all). */
static stream *stream_of(handle_t handle) {
    if ((size_t)handle > 2) return find(STREAM, handle);
    stream **s = &default_streams[(size_t)handle == 2];
    if (!*s) {
        *s = new_stream();
        objects[STREAM] = (*s)->o.next, counts[STREAM]--; /* nobody destroys it */
    }
    return *s;
}

static CUresult invalidate(stream *s, CUresult error) { return s->is_invalid = 1, error; }

/* Why an unsafe call (such as an allocation) is refused while streams capture, as the capture's mode says. */
static CUresult unsafe(void) {
    for (object *o = objects[STREAM]; o; o = o->next) {
        stream *s = (stream *)o;
        int is_mine = pthread_equal(s->owner, pthread_self());
        if (s->is_capturing && (s->mode == CAPTURE_GLOBAL || (s->mode == CAPTURE_THREAD_LOCAL && is_mine)))
            return invalidate(s, STREAM_CAPTURE_UNSUPPORTED);
    }
    return SUCCESS;
}

static CUresult enqueue(handle_t handle, op given, int waits) {
    stream *s = stream_of(handle);
    if (failed || !s) return failed ? failed : INVALID_HANDLE;
    if (s->is_capturing && (given.what == RECORD || given.what == WAIT))
        return invalidate(s, given.what == RECORD ? STREAM_CAPTURE_UNSUPPORTED : STREAM_CAPTURE_ISOLATION);
    if (given.what == RECORD) given.number = ++given.event->recorded;
    if (given.what == WAIT) given.number = given.event->recorded;
    if (given.what == LAUNCH) given.number = ++given.graph->launched;
    if (given.event) given.event->o.refs++;
    if (given.graph) given.graph->o.refs++;
    op *one = malloc(sizeof *one), ***last = s->is_capturing ? &s->noted->last : &s->last;
    *one = given, one->next = NULL, **last = one, *last = &one->next;
    if (s->is_capturing) return SUCCESS;
    unsigned long number = ++s->enqueued;
    pthread_cond_broadcast(&changed);
    if (waits) {
        s->o.refs++;
        while (s->done < number) pthread_cond_wait(&changed, &lock);
        drop(&s->o);
    }
    return failed;
}

static CUresult copy(addr_t to, addr_t from, size_t nbytes, handle_t handle) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    op one = {.what = COPY, .to = to, .from = from, .nbytes = nbytes};
    stream *s = stream_of(handle);
    CUresult result = reach(to, nbytes) && reach(from, nbytes) ? SUCCESS : INVALID_VALUE;
    int to_pageable = !is_device_address(to) && !is_alias(to);
    if (!result && s && !s->is_capturing && !is_device_address(from) && !is_alias(from))
        one.staged = memcpy(malloc(nbytes), (char *)from, nbytes);
    if (!result) result = enqueue(handle, one, to_pageable);
    pthread_mutex_unlock(&lock);
    return result;
}

/* ---- the driver's interface: initialisation, devices, contexts ---- */

#define LOCKED(expression)                                                                                             \
    do {                                                                                                               \
        pthread_mutex_lock(&lock);                                                                                     \
        CUresult result = (expression);                                                                                \
        pthread_mutex_unlock(&lock);                                                                                   \
        return result;                                                                                                 \
    } while (0)

EXPORT CUresult cuInit(unsigned flags) {
    CUresult result = (CUresult)setting("INIT", 0);
    if (result || flags) return result ? result : INVALID_VALUE;
    pthread_mutex_lock(&lock);
    if (!base) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        base = (addr_t)mmap(NULL, ARENA, PROT_NONE, flags, -1, 0);
        alias_base = (addr_t)mmap(NULL, ARENA, PROT_READ | PROT_WRITE, flags, -1, 0);
    }
    is_initialised = (void *)base != MAP_FAILED && (void *)alias_base != MAP_FAILED;
    pthread_mutex_unlock(&lock);
    return is_initialised ? SUCCESS : OUT_OF_MEMORY;
}

EXPORT CUresult cuDriverGetVersion(int *out) { return *out = (int)setting("CUDA", 13000), SUCCESS; }

#define NEED_GPU(gpu)                                                                                                  \
    do {                                                                                                               \
        if (!is_initialised) return NOT_INITIALIZED;                                                                   \
        if (gpu < 0 || gpu >= setting("GPUS", 1) || gpu >= MAX_GPUS) return INVALID_DEVICE;                            \
    } while (0)

EXPORT CUresult cuDeviceGetCount(int *out) {
    return *out = (int)setting("GPUS", 1), is_initialised ? SUCCESS : NOT_INITIALIZED;
}

EXPORT CUresult cuDeviceGet(int *out, int gpu) {
    NEED_GPU(gpu);
    return *out = gpu, SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *out, int size, int gpu) {
    NEED_GPU(gpu);
    return snprintf(out, (size_t)size, "Simulated GPU"), SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *out, int gpu) {
    NEED_GPU(gpu);
    return *out = total_bytes(), SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *out, int attribute, int gpu) {
    NEED_GPU(gpu);
    long capability = setting("CAPABILITY", 87);
    *out = attribute == 75 ? (int)(capability / 10) : attribute == 76 ? (int)(capability % 10)
         : attribute == 16 ? (int)setting("MULTIPROCESSORS", 8)
         : attribute == 18 ? (int)setting("INTEGRATED", 0) : attribute == 19 || attribute == 41 ? 1 : 0;
    return SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(handle_t *out, int gpu) {
    NEED_GPU(gpu);
    LOCKED((retained[gpu]++, *out = &contexts[gpu], SUCCESS));
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(int gpu) {
    NEED_GPU(gpu);
    LOCKED(retained[gpu] ? (retained[gpu]--, SUCCESS) : INVALID_CONTEXT);
}

EXPORT CUresult cuDevicePrimaryCtxGetState(int gpu, unsigned *flags, int *active) {
    NEED_GPU(gpu);
    return *flags = 0, *active = retained[gpu] > 0, SUCCESS;
}

static int gpu_of(handle_t context) {
    long index = (char *)context - contexts;
    return context && index >= 0 && index < MAX_GPUS ? (int)index : -1;
}

EXPORT CUresult cuCtxGetCurrent(handle_t *out) {
    return *out = current() < 0 ? NULL : &contexts[current()], is_initialised ? SUCCESS : NOT_INITIALIZED;
}

EXPORT CUresult cuCtxSetCurrent(handle_t context) {
    if (!is_initialised || (context && gpu_of(context) < 0)) return is_initialised ? INVALID_CONTEXT : NOT_INITIALIZED;
    if (depth) depth--;
    if (context) stack[depth++] = 1 + gpu_of(context);
    return SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(handle_t context) {
    if (gpu_of(context) < 0 || depth == 32) return INVALID_CONTEXT;
    return stack[depth++] = 1 + gpu_of(context), SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent_v2(handle_t *out) {
    if (!depth) return INVALID_CONTEXT;
    handle_t popped = &contexts[current()];
    if (out) *out = popped;
    return depth--, SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(int *out) {
    NEED_CONTEXT();
    return *out = current(), SUCCESS;
}

EXPORT CUresult cuCtxGetApiVersion(handle_t context, unsigned *out) { return (void)context, *out = 13000, SUCCESS; }

/* ---- memory ---- */

EXPORT CUresult cuMemAlloc_v2(addr_t *out, size_t nbytes) {
    NEED_CONTEXT();
    block *b = NULL;
    pthread_mutex_lock(&lock);
    CUresult result = failed ? failed : unsafe();
    if (!result && !(result = new_block(DEVICE_BLOCK, nbytes, 0, &b))) *out = b->address;
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuMemFree_v2(addr_t address) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    CUresult result = unsafe();
    if (!result) result = free_block(DEVICE_BLOCK, address);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuMemHostAlloc(void **out, size_t nbytes, unsigned flags) {
    NEED_CONTEXT();
    block *b = NULL;
    pthread_mutex_lock(&lock);
    CUresult result = failed ? failed : unsafe();
    if (!result && !(result = new_block(HOST_BLOCK, nbytes, (flags & 2) != 0, &b)))
        *out = (void *)(b->address - base + alias_base);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuMemFreeHost(void *host) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    CUresult result = unsafe();
    if (!result) result = free_block(HOST_BLOCK, (addr_t)host - alias_base + base);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuMemHostGetDevicePointer_v2(addr_t *out, void *host, unsigned flags) {
    NEED_CONTEXT();
    addr_t address = (addr_t)host - alias_base + base;
    pthread_mutex_lock(&lock);
    block *b = is_alias((addr_t)host) ? block_of(address, 1) : NULL;
    CUresult result = !flags && b && b->o.kind == HOST_BLOCK && b->mapped ? (*out = address, SUCCESS) : INVALID_VALUE;
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuMemGetInfo_v2(size_t *available, size_t *total) {
    NEED_CONTEXT();
    *total = total_bytes();
    LOCKED((*available = *total - used_bytes[current()], SUCCESS));
}

EXPORT CUresult cuPointerGetAttribute(void *out, int attribute, addr_t address) {
    if (!is_initialised) return NOT_INITIALIZED;
    pthread_mutex_lock(&lock);
    block *b = block_of(is_alias(address) ? address - alias_base + base : address, 1);
    CUresult result = b ? SUCCESS : INVALID_VALUE;
    if (b && attribute == 1) *(handle_t *)out = &contexts[b->gpu];
    else if (b && attribute == 2) *(unsigned *)out = b->o.kind == HOST_BLOCK ? 1 : 2;
    else if (b && attribute == 9) *(int *)out = b->gpu;
    else result = INVALID_VALUE;
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(addr_t to, const void *from, size_t nbytes, handle_t s) {
    return is_device_address(to) && !is_device_address((addr_t)from) ? copy(to, (addr_t)from, nbytes, s) : INVALID_VALUE;
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, addr_t from, size_t nbytes, handle_t s) {
    return is_device_address(from) && !is_device_address((addr_t)to) ? copy((addr_t)to, from, nbytes, s) : INVALID_VALUE;
}

EXPORT CUresult cuMemcpyDtoDAsync_v2(addr_t to, addr_t from, size_t nbytes, handle_t s) {
    return is_device_address(to) && is_device_address(from) ? copy(to, from, nbytes, s) : INVALID_VALUE;
}

EXPORT CUresult cuMemsetD8Async(addr_t to, unsigned char value, size_t nbytes, handle_t s) {
    NEED_CONTEXT();
    op one = {.what = SET, .to = to, .value = value, .nbytes = nbytes};
    LOCKED(is_device_address(to) && reach(to, nbytes) ? enqueue(s, one, 0) : INVALID_VALUE);
}

/* ---- streams and events ---- */

EXPORT CUresult cuStreamCreate(handle_t *out, unsigned flags) {
    NEED_CONTEXT();
    if (flags > 1) return INVALID_VALUE;
    LOCKED((*out = new_stream(), SUCCESS));
}

EXPORT CUresult cuStreamDestroy_v2(handle_t handle) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    stream *s = find(STREAM, handle);
    if (s) s->is_closing = 1;
    CUresult result = destroy(STREAM, handle);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuStreamSynchronize(handle_t handle) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    stream *s = stream_of(handle);
    CUresult result = !s ? INVALID_HANDLE : s->is_capturing ? invalidate(s, STREAM_CAPTURE_UNSUPPORTED) : SUCCESS;
    if (!result) {
        unsigned long last = s->enqueued;
        s->o.refs++;
        while (s->done < last) pthread_cond_wait(&changed, &lock);
        drop(&s->o);
        result = failed;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuLaunchHostFunc(handle_t s, void (*function)(void *), void *data) {
    NEED_CONTEXT();
    op one = {.what = CALL, .function = function, .data = data};
    LOCKED(enqueue(s, one, 0));
}

EXPORT CUresult cuEventCreate(handle_t *out, unsigned flags) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    event *e = create(EVENT, sizeof *e);
    e->timing = !(flags & 2), *out = e;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(handle_t handle) {
    NEED_CONTEXT();
    LOCKED(destroy(EVENT, handle));
}

static CUresult with_event(int what, handle_t s, handle_t handle) {
    op one = {.what = what, .event = find(EVENT, handle)};
    return one.event ? enqueue(s, one, 0) : INVALID_HANDLE;
}

EXPORT CUresult cuEventRecord(handle_t handle, handle_t s) {
    NEED_CONTEXT();
    LOCKED(with_event(RECORD, s, handle));
}

EXPORT CUresult cuStreamWaitEvent(handle_t s, handle_t handle, unsigned flags) {
    NEED_CONTEXT();
    (void)flags;
    LOCKED(with_event(WAIT, s, handle));
}

EXPORT CUresult cuEventSynchronize(handle_t handle) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    event *e = find(EVENT, handle);
    CUresult result = e ? SUCCESS : INVALID_HANDLE;
    if (e) {
        unsigned long last = e->recorded;
        e->o.refs++;
        while (e->done < last) pthread_cond_wait(&changed, &lock);
        drop(&e->o);
        result = failed;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuEventElapsedTime_v2(float *out, handle_t start, handle_t end) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    event *a = find(EVENT, start), *b = find(EVENT, end);
    CUresult result = SUCCESS;
    if (!a || !b || !a->timing || !b->timing || !a->recorded || !b->recorded) result = INVALID_HANDLE;
    else if (a->done < a->recorded || b->done < b->recorded) result = NOT_READY;
    else *out = (float)(b->at_ms - a->at_ms);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuEventElapsedTime(float *out, handle_t start, handle_t end) {
    return cuEventElapsedTime_v2(out, start, end);
}

/* ---- capture and graphs ---- */

EXPORT CUresult cuStreamBeginCapture_v2(handle_t handle, int mode) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    stream *s = stream_of(handle);
    CUresult result = !s ? INVALID_HANDLE : (size_t)handle <= 2 ? STREAM_CAPTURE_UNSUPPORTED : SUCCESS;
    if (!result && s->is_capturing) result = invalidate(s, INVALID_VALUE);
    if (!result) {
        s->is_capturing = 1, s->is_invalid = 0, s->mode = mode, s->owner = pthread_self();
        s->noted = create(GRAPH, sizeof *s->noted);
        s->noted->last = &s->noted->first;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuStreamEndCapture(handle_t handle, handle_t *out) {
    NEED_CONTEXT();
    *out = NULL;
    pthread_mutex_lock(&lock);
    stream *s = stream_of(handle);
    CUresult result = !s ? INVALID_HANDLE : !s->is_capturing ? INVALID_VALUE : SUCCESS;
    if (!result && s->mode != CAPTURE_RELAXED && !pthread_equal(s->owner, pthread_self()))
        result = STREAM_CAPTURE_WRONG_THREAD;
    if (!result) {
        s->is_capturing = 0;
        if (s->is_invalid) destroy(GRAPH, s->noted), result = STREAM_CAPTURE_INVALIDATED;
        else *out = s->noted;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuStreamIsCapturing(handle_t handle, int *out) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    stream *s = stream_of(handle);
    *out = !s || !s->is_capturing ? 0 : s->is_invalid ? 2 : 1;
    pthread_mutex_unlock(&lock);
    return s ? SUCCESS : INVALID_HANDLE;
}

EXPORT CUresult cuGraphInstantiateWithFlags(handle_t *out, handle_t handle, unsigned long long flags) {
    NEED_CONTEXT();
    (void)flags;
    pthread_mutex_lock(&lock);
    graph *from = find(GRAPH, handle);
    if (from) {
        graph *to = create(EXEC, sizeof *to);
        to->last = &to->first;
        for (op *one = from->first; one; one = one->next) {
            op *node = malloc(sizeof *node);
            *node = *one, node->next = NULL, *to->last = node, to->last = &node->next;
            if (node->graph) node->graph->o.refs++;
        }
        *out = to;
    }
    pthread_mutex_unlock(&lock);
    return from ? SUCCESS : INVALID_VALUE;
}

EXPORT CUresult cuGraphLaunch(handle_t handle, handle_t s) {
    NEED_CONTEXT();
    pthread_mutex_lock(&lock);
    op one = {.what = LAUNCH, .graph = find(EXEC, handle)};
    CUresult result = one.graph ? enqueue(s, one, 0) : INVALID_VALUE;
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORT CUresult cuGraphDestroy(handle_t handle) { LOCKED(destroy(GRAPH, handle)); }

EXPORT CUresult cuGraphExecDestroy(handle_t handle) { LOCKED(destroy(EXEC, handle)); }

/* ---- what the driver says of itself ---- */

EXPORT CUresult cuGetErrorName(CUresult error, const char **out) {
#define AS_NAME(number, name) if (error == number) return *out = number ? "CUDA_ERROR_" #name : "CUDA_SUCCESS", SUCCESS;
    ERRORS(AS_NAME)
    return *out = NULL, INVALID_VALUE;
}

EXPORT CUresult cuGetErrorString(CUresult error, const char **out) { return cuGetErrorName(error, out); }

/* The newest version of a call, as the driver's own table gives it; what is not simulated is not found. */
EXPORT CUresult cuGetProcAddress_v2(const char *name, void **out, int version, unsigned long long flags, int *status) {
    (void)flags;
    Dl_info self;
    char newer[128];
    const char *plain = !strcmp(name, "cuGraphInstantiate") && version >= 12000 ? "cuGraphInstantiateWithFlags" : name;
    dladdr((void *)cuInit, &self);
    void *library = dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    snprintf(newer, sizeof newer, "%s_v2", plain);
    *out = library ? dlsym(library, newer) : NULL;
    if (!*out && library) *out = dlsym(library, plain);
    if (library) dlclose(library);
    if (status) *status = *out ? 0 : 1;
    return *out ? SUCCESS : NOT_FOUND;
}

EXPORT CUresult cuGetProcAddress(const char *name, void **out, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, out, version, flags, NULL);
}

/* ---- for tests ---- */

EXPORT void *sim_map(addr_t address, size_t nbytes) {
    pthread_mutex_lock(&lock);
    char *memory = is_device_address(address) ? reach(address, nbytes) : NULL;
    if (!memory) report("a kernel", address, nbytes);
    pthread_mutex_unlock(&lock);
    return memory;
}

EXPORT long sim_count(int kind) { return kind < KINDS ? counts[kind] : 0; }

EXPORT int sim_retained(int gpu) { return retained[gpu]; }

EXPORT int sim_violations(void) { return violations; }

EXPORT const char *sim_violation(void) { return violation; }
