/* A stand-in for the CUDA runtime and driver: host memory, and nothing done before it must be.

   Work given to a stream is kept, and done when somebody waits, in an order drawn by chance among all
   that streams and events allow. New and freed memory holds rubbish; copies outside of what is
   allocated fail. What CUDA forbids during a capture, or on another device's handle, fails as there.

   Environment: STAND_IN_RUNTIME, STAND_IN_DRIVER (12060 is 12.6), STAND_IN_DEVICES,
   STAND_IN_BYTES (memory of a device), STAND_IN_SEED. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_DEVICE = 100, BAD_DEVICE = 101, OLD_DRIVER = 35,
       BAD_HANDLE = 400, NOT_READY = 600, BAD_ADDRESS = 700, STUCK = 719,
       IN_CAPTURE = 900, CAPTURE_LOST = 901 };
enum { COPY = 1, RECORD, WAIT, HOST };
enum { GONE, BLOCK, STREAM, EVENT, GRAPH, EXEC };

typedef struct Thing {
    int kind, device;
    struct Thing *next;
    void *memory; size_t size; int is_pinned;                /* BLOCK */
    struct Op *head, *tail; pthread_t capturer; int capture; /* STREAM: 1 captures, 2 lost; GRAPH */
    long recorded, passed; double seconds; unsigned flags;   /* EVENT */
} Thing;

typedef struct Op {
    int kind; void *target; const void *source; size_t size; Thing *event; long number;
    size_t rows, to, from; /* of a COPY with pitches; 0 rows: it has none */
    void (*call)(void *); void *data; struct Op *next;
} Op;

static pthread_mutex_t lock;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static Thing *things;
static unsigned seed;
static int sticky;
static __thread int current, last;

static void begin(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attributes);
}

static long setting(const char *name, long usual) {
    const char *text = getenv(name);
    return text && *text ? atol(text) : usual;
}
static int devices(void) { return (int)setting("STAND_IN_DEVICES", 1); }
static int runtime(void) { return (int)setting("STAND_IN_RUNTIME", 12060); }
static int driver(void) { return (int)setting("STAND_IN_DRIVER", 12060); }

static int enter(void) {
    pthread_once(&once, begin);
    pthread_mutex_lock(&lock);
    if (!seed) seed = (unsigned)setting("STAND_IN_SEED", 1);
    if (driver() / 1000 < runtime() / 1000) return OLD_DRIVER;
    return devices() ? sticky : NO_DEVICE;
}
static int leave(int status) {
    if (status) last = status;
    pthread_mutex_unlock(&lock);
    return status;
}
#define BEGIN int status = enter(); if (status) return leave(status)

static Thing *add(int kind) {
    Thing *thing = calloc(1, sizeof *thing);
    thing->kind = kind; thing->device = current; thing->next = things;
    return things = thing;
}
static Thing *find(const void *handle, int kind) {
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing == handle && thing->kind == kind) return thing;
    return NULL;
}
static Thing *own(const void *handle, int kind) { /* of the thread's device only */
    Thing *thing = find(handle, kind);
    return thing && thing->device == current ? thing : NULL;
}
static void drop(Thing *gone) {
    for (Thing **at = &things; *at; at = &(*at)->next)
        if (*at == gone) { *at = gone->next; break; }
    while (gone->head) { Op *op = gone->head; gone->head = op->next; free(op); }
    free(gone);
}

static Thing *block_of(const void *address, size_t size) {
    const char *from = address;
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing->kind == BLOCK && from >= (char *)thing->memory &&
            from + size <= (char *)thing->memory + thing->size) return thing;
    return NULL;
}

/* Whether this thread captures: then CUDA forbids waiting and allocating, and the capture is lost. */
static int captures(void) {
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing->kind == STREAM && thing->capture && pthread_equal(thing->capturer, pthread_self())) {
            thing->capture = 2;
            return 1;
        }
    return 0;
}

static void give(Thing *stream, Op op) {
    Op *copy = malloc(sizeof *copy);
    *copy = op; copy->next = NULL;
    if (stream->tail && stream->head) stream->tail->next = copy; else stream->head = copy;
    stream->tail = copy;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void carry_out(Op *op) {
    if (op->kind == COPY) {
        for (size_t row = 0; row < (op->rows ? op->rows : 1); row++) {
            char *target = (char *)op->target + row * op->to;
            const char *source = (const char *)op->source + row * op->from;
            if (!block_of(target, op->size) || !block_of(source, op->size)) sticky = BAD_ADDRESS;
            else memmove(target, source, op->size);
        }
    } else if (op->kind == RECORD) {
        op->event->passed = op->number; op->event->seconds = now();
    } else if (op->kind == HOST) op->call(op->data);
}
static int is_ready(const Thing *stream) {
    const Op *op = stream->head;
    return op && !stream->capture && (op->kind != WAIT || op->event->passed >= op->number);
}

/* Do one piece of work of a stream drawn by chance; 0 if none is ready. */
static int step(void) {
    int ready = 0;
    for (Thing *thing = things; thing; thing = thing->next)
        ready += thing->kind == STREAM && is_ready(thing);
    if (!ready) return 0;
    seed = seed * 1103515245u + 12345u;
    int drawn = (int)((seed >> 16) % (unsigned)ready);
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing->kind == STREAM && is_ready(thing) && !drawn--) {
            Op *op = thing->head;
            thing->head = op->next;
            carry_out(op);
            free(op);
            return 1;
        }
    return 0;
}
static int drain_all(void) {
    while (step());
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing->kind == STREAM && thing->head && !thing->capture) return STUCK;
    return sticky;
}

int cudaDriverGetVersion(int *version) { *version = driver(); return OK; }
int cudaRuntimeGetVersion(int *version) { *version = runtime(); return OK; }
int cudaGetLastError(void) { int was = last; last = 0; return was; }
const char *cudaGetErrorName(int status) {
    switch (status) {
    case OK: return "cudaSuccess";
    case NO_MEMORY: return "cudaErrorMemoryAllocation";
    case NO_DEVICE: return "cudaErrorNoDevice";
    case BAD_DEVICE: return "cudaErrorInvalidDevice";
    case OLD_DRIVER: return "cudaErrorInsufficientDriver";
    case BAD_HANDLE: return "cudaErrorInvalidResourceHandle";
    case NOT_READY: return "cudaErrorNotReady";
    case BAD_ADDRESS: return "cudaErrorIllegalAddress";
    case STUCK: return "cudaErrorLaunchFailure";
    case IN_CAPTURE: return "cudaErrorStreamCaptureUnsupported";
    case CAPTURE_LOST: return "cudaErrorStreamCaptureInvalidated";
    default: return "cudaErrorInvalidValue";
    }
}

int cudaGetDeviceCount(int *count) { BEGIN; *count = devices(); return leave(OK); }
int cudaSetDevice(int device) {
    BEGIN;
    if (device < 0 || device >= devices()) return leave(BAD_DEVICE);
    current = device;
    return leave(OK);
}
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    BEGIN;
    if (device < 0 || device >= devices()) return leave(BAD_DEVICE);
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 16 ? 16 >> device : 0;
    return leave(OK);
}

static size_t total(void) { return (size_t)setting("STAND_IN_BYTES", 1L << 30); }
static size_t used(void) {
    size_t sum = 0;
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing->kind == BLOCK && thing->device == current && !thing->is_pinned) sum += thing->size;
    return sum;
}
static unsigned wanted_flags[16], context_flags[16];
static int has_context[16];
int cudaMemGetInfo(size_t *free_, size_t *all) {
    BEGIN;
    if (!has_context[current]) context_flags[current] = wanted_flags[current];
    has_context[current] = 1;
    *all = total(); *free_ = total() - used();
    return leave(OK);
}
static int allocate(void **address, size_t size, int is_pinned) {
    BEGIN;
    if (captures()) return leave(IN_CAPTURE);
    if (size > total() || (!is_pinned && used() + size > total())) return leave(NO_MEMORY);
    Thing *thing = add(BLOCK);
    thing->memory = *address = malloc(size ? size : 1);
    thing->size = size; thing->is_pinned = is_pinned;
    memset(thing->memory, 0xCD, size);
    return leave(OK);
}
static int release(void *address, int is_pinned) {
    BEGIN;
    if (!address) return leave(OK);
    if (captures()) return leave(IN_CAPTURE);
    status = drain_all();
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing->kind == BLOCK && thing->memory == address && thing->is_pinned == is_pinned) {
            memset(address, 0xCD, thing->size);
            free(address);
            drop(thing);
            return leave(status);
        }
    return leave(INVALID);
}
int cudaMalloc(void **address, size_t size) { return allocate(address, size, 0); }
int cudaHostAlloc(void **address, size_t size, unsigned flags) {
    return flags ? INVALID : allocate(address, size, 1);
}
int cudaFree(void *address) { return release(address, 0); }
int cudaFreeHost(void *address) { return release(address, 1); }

int cudaStreamCreateWithFlags(void **stream, unsigned flags) {
    BEGIN;
    if (flags != 1) return leave(INVALID);
    *stream = add(STREAM);
    return leave(OK);
}
int cudaStreamDestroy(void *handle) {
    BEGIN;
    Thing *stream = find(handle, STREAM);
    if (!stream) return leave(BAD_HANDLE);
    status = drain_all();
    drop(stream);
    return leave(status);
}
static int queue(void *handle, Op op) {
    BEGIN;
    Thing *stream = own(handle, STREAM);
    if (!stream || (op.event && op.event->device != current)) return leave(BAD_HANDLE);
    give(stream, op);
    return leave(OK);
}
int cudaMemcpyAsync(void *target, const void *source, size_t size, int kind, void *stream) {
    if (kind != 4) return INVALID;
    return queue(stream, (Op){.kind = COPY, .target = target, .source = source, .size = size});
}
int cudaMemcpy2DAsync(void *target, size_t to, const void *source, size_t from, size_t width,
                      size_t rows, int kind, void *stream) {
    if (kind != 4 || to < width || from < width) return INVALID;
    if (!rows) return OK;
    return queue(stream, (Op){.kind = COPY, .target = target, .source = source, .size = width,
                              .rows = rows, .to = to, .from = from});
}
int cudaLaunchHostFunc(void *stream, void (*call)(void *), void *data) {
    return queue(stream, (Op){.kind = HOST, .call = call, .data = data});
}
int cudaStreamWaitEvent(void *stream, void *handle, unsigned flags) {
    BEGIN;
    Thing *event = find(handle, EVENT);
    if (!event || flags) return leave(event ? INVALID : BAD_HANDLE);
    return leave(queue(stream, (Op){.kind = WAIT, .event = event, .number = event->recorded}));
}

int cudaEventCreateWithFlags(void **event, unsigned flags) {
    BEGIN;
    Thing *thing = add(EVENT);
    thing->flags = flags;
    *event = thing;
    return leave(OK);
}
int cudaEventDestroy(void *handle) {
    BEGIN;
    Thing *event = find(handle, EVENT);
    if (!event) return leave(BAD_HANDLE);
    event->kind = GONE; /* queued work may refer to it; CUDA keeps it until then */
    return leave(OK);
}
int cudaEventRecord(void *handle, void *stream) {
    BEGIN;
    Thing *event = own(handle, EVENT);
    if (!event) return leave(BAD_HANDLE);
    if (!stream) { /* the default stream: what others gave to it is done at once */
        event->passed = ++event->recorded; event->seconds = now();
        return leave(OK);
    }
    return leave(queue(stream, (Op){.kind = RECORD, .event = event, .number = ++event->recorded}));
}
int cudaEventSynchronize(void *handle) {
    BEGIN;
    Thing *event = find(handle, EVENT);
    if (!event) return leave(BAD_HANDLE);
    if (captures()) return leave(IN_CAPTURE);
    while (event->passed < event->recorded)
        if (!step()) return leave(STUCK);
    return leave(sticky);
}
int cudaEventElapsedTime(float *milliseconds, void *start, void *stop) {
    BEGIN;
    Thing *from = find(start, EVENT), *to = find(stop, EVENT);
    if (!from || !to) return leave(BAD_HANDLE);
    if (!from->passed || !to->passed) return leave(NOT_READY);
    *milliseconds = (float)(1e3 * (to->seconds - from->seconds));
    return leave(OK);
}

int cudaStreamBeginCapture(void *handle, int mode) {
    BEGIN;
    Thing *stream = own(handle, STREAM);
    if (!stream || mode != 1) return leave(stream ? INVALID : BAD_HANDLE);
    status = drain_all();
    stream->capture = 1; stream->capturer = pthread_self();
    return leave(status);
}
int cudaStreamEndCapture(void *handle, void **graph) {
    BEGIN;
    Thing *stream = own(handle, STREAM);
    if (!stream || !stream->capture) return leave(BAD_HANDLE);
    int was = stream->capture;
    Thing *made = add(GRAPH);
    made->head = stream->head; made->tail = stream->tail;
    stream->head = stream->tail = NULL; stream->capture = 0;
    *graph = was == 1 ? made : NULL;
    if (was != 1) drop(made);
    return leave(was == 1 ? OK : CAPTURE_LOST);
}
int cudaGraphInstantiateWithFlags(void **exec, void *handle, unsigned long long flags) {
    BEGIN;
    Thing *graph = find(handle, GRAPH);
    if (!graph || flags) return leave(INVALID);
    Thing *made = add(EXEC);
    for (Op *op = graph->head; op; op = op->next) give(made, *op);
    *exec = made;
    return leave(OK);
}
int cudaGraphDestroy(void *handle) {
    BEGIN;
    Thing *graph = find(handle, GRAPH);
    if (graph) drop(graph);
    return leave(graph ? OK : INVALID);
}
int cudaGraphExecDestroy(void *handle) {
    BEGIN;
    Thing *exec = find(handle, EXEC);
    if (exec) drop(exec);
    return leave(exec ? OK : INVALID);
}
static long launches;
int cudaGraphLaunch(void *handle, void *stream_handle) {
    BEGIN;
    Thing *exec = own(handle, EXEC), *stream = own(stream_handle, STREAM);
    if (!exec || !stream) return leave(BAD_HANDLE);
    for (Op *op = exec->head; op; op = op->next) give(stream, *op);
    launches++;
    return leave(OK);
}

int cuInit(unsigned flags) { return flags ? INVALID : devices() ? OK : NO_DEVICE; }
int cuDeviceGet(int *device, int index) {
    *device = index;
    return index >= 0 && index < devices() ? OK : BAD_DEVICE;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = total(); return OK; }
int cuDeviceGetName(char *name, int size, int device) {
    snprintf(name, (size_t)size, "Stand-in %d", device);
    return OK;
}
int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
    if (device < 0 || device >= devices()) return BAD_DEVICE;
    wanted_flags[device] = flags;
    return OK;
}
int cuDeviceGetUuid(char *bytes, int device) {
    for (int at = 0; at < 16; at++) bytes[at] = (char)(16 * device + at);
    return OK;
}

/* For tests: how many things of a kind exist, how many graphs were launched, flags of events. */
int stand_in_alive(int kind) {
    pthread_once(&once, begin);
    int count = 0;
    for (Thing *thing = things; thing; thing = thing->next) count += thing->kind == kind;
    return count;
}
void stand_in_reset(void) { /* whatever an earlier test has left */
    while (things) {
        if (things->kind == BLOCK) free(things->memory);
        drop(things);
    }
    sticky = 0;
    memset(wanted_flags, 0, sizeof wanted_flags); memset(has_context, 0, sizeof has_context);
}
unsigned stand_in_context_flags(int device) { return context_flags[device]; }
long stand_in_launches(void) { return launches; }
unsigned stand_in_event_flags(void *event) { Thing *thing = find(event, EVENT); return thing ? thing->flags : 0; }
