// Runs a kernel over the arrays of a call, on XLA's own threads.
//
// XLA calls a handler; the handler calls `optifunc_run` with its kernel. The attribute
// "table" says what the call is made of. It has one row for each group of arrays:
//
//     elements, buffer, offset, buffer, offset, ...
//
// that is, for each slot of the kernel (first what it reads, then what it writes) a buffer
// (arguments first, then results) and the number of bytes before the group's part of it.
//
// The elements of all groups are cut into blocks, of whole units (rows). Threads take one
// block after the other until none is left. The caller waits only for blocks that somebody
// has begun: to wait for helpers to start would be a deadlock as soon as all threads of the
// pool wait like that.
// A helper that comes late finds no block and drops its reference to the work.

#include <stdint.h>

#include "xla/ffi/api/c_api.h"

void* malloc(size_t);
void free(void*);
int sched_yield(void);

typedef void Kernel(void** slots, int64_t begin, int64_t end);

enum {
  SMALLEST_BLOCK = 16384,   // elements: below, a thread costs more than it brings
  BLOCKS_A_THREAD = 8,      // so that a thread that is late holds up nobody for long
  SPINS = 1000,             // looks at a counter before the processor is given away
};

struct Work {
  Kernel* kernel;
  const int64_t* table;
  int64_t groups, slots, block, blocks;
  void** pointers;  // of each slot of each group
  int64_t* first;   // of each group the number of its first block; then that of all blocks
  int64_t next, done, references;
};

static int64_t row_length(int64_t slots) { return 1 + 2 * slots; }

static void run_block(struct Work* work, int64_t number) {
  int64_t low = 0, high = work->groups - 1;  // the last group that starts at or before it
  while (low < high) {
    int64_t middle = (low + high + 1) / 2;
    if (work->first[middle] <= number) low = middle;
    else high = middle - 1;
  }
  int64_t elements = work->table[low * row_length(work->slots)];
  int64_t begin = (number - work->first[low]) * work->block;
  int64_t end = begin + work->block < elements ? begin + work->block : elements;
  work->kernel(work->pointers + low * work->slots, begin, end);
}

static void take_blocks(struct Work* work) {
  for (;;) {
    int64_t number = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED);
    if (number >= work->blocks) return;
    run_block(work, number);
    __atomic_fetch_add(&work->done, 1, __ATOMIC_RELEASE);
  }
}

static void drop(struct Work* work) {
  if (__atomic_sub_fetch(&work->references, 1, __ATOMIC_ACQ_REL) == 0) free(work);
}

static void help(void* work) {
  take_blocks(work);
  drop(work);
}

static XLA_FFI_Error* failure(XLA_FFI_CallFrame* frame, const char* message) {
  XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, NULL, message,
                                    XLA_FFI_Error_Code_INTERNAL};
  return frame->api->XLA_FFI_Error_Create(&args);
}

// Whether a call of the interface succeeded; what it complains of is thrown away.
static int succeeded(XLA_FFI_CallFrame* frame, XLA_FFI_Error* error) {
  if (error == NULL) return 1;
  XLA_FFI_Error_Destroy_Args args = {XLA_FFI_Error_Destroy_Args_STRUCT_SIZE, NULL, error};
  frame->api->XLA_FFI_Error_Destroy(&args);
  return 0;
}

static int64_t thread_count(XLA_FFI_CallFrame* frame) {
  int64_t count = 1;
  XLA_FFI_ThreadPool_NumThreads_Args args = {XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE,
                                             NULL, frame->ctx, &count};
  int known = succeeded(frame, frame->api->XLA_FFI_ThreadPool_NumThreads(&args));
  return known && count > 1 ? count : 1;
}

static void* buffer(XLA_FFI_CallFrame* frame, int64_t number) {
  int64_t arguments = frame->args.size;
  void* found = number < arguments ? frame->args.args[number]
                                   : frame->rets.rets[number - arguments];
  return ((XLA_FFI_Buffer*)found)->data;
}

static void call_helpers(XLA_FFI_CallFrame* frame, struct Work* work, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    __atomic_add_fetch(&work->references, 1, __ATOMIC_RELAXED);
    XLA_FFI_ThreadPool_Schedule_Args args = {XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE,
                                             NULL, frame->ctx, help, work};
    if (!succeeded(frame, frame->api->XLA_FFI_ThreadPool_Schedule(&args))) {
      drop(work);
      return;
    }
  }
}

XLA_FFI_Error* optifunc_run(XLA_FFI_CallFrame* frame, Kernel* kernel, int64_t slots,
                            int64_t unit) {
  XLA_FFI_Extension_Base* extension = frame->extension_start;
  if (extension != NULL && extension->type == XLA_FFI_Extension_Metadata) {
    XLA_FFI_Metadata* metadata = ((XLA_FFI_Metadata_Extension*)extension)->metadata;
    metadata->api_version.major_version = XLA_FFI_API_MAJOR;
    metadata->api_version.minor_version = XLA_FFI_API_MINOR;
    metadata->traits = 0;
    return NULL;
  }
  if (frame->attrs.size != 1 || frame->attrs.types[0] != XLA_FFI_AttrType_ARRAY)
    return failure(frame, "optifunc: a fused call needs one attribute, its table");
  XLA_FFI_Array* attribute = frame->attrs.attrs[0];
  const int64_t* table = attribute->data;
  int64_t groups = attribute->size / row_length(slots), elements = 0;
  for (int64_t g = 0; g < groups; ++g) elements += table[g * row_length(slots)];

  struct Work* work =
      malloc(sizeof *work + groups * slots * sizeof(void*) + (groups + 1) * sizeof(int64_t));
  if (work == NULL) return failure(frame, "optifunc: out of memory");
  work->kernel = kernel;
  work->table = table;
  work->groups = groups;
  work->slots = slots;
  work->pointers = (void**)(work + 1);
  work->first = (int64_t*)(work->pointers + groups * slots);
  work->next = work->done = 0;
  work->references = 1;

  int64_t threads = thread_count(frame);
  int64_t block = elements / (threads * BLOCKS_A_THREAD) / 1024 * 1024;
  if (block < SMALLEST_BLOCK) block = SMALLEST_BLOCK;
  work->block = (block + unit - 1) / unit * unit;
  work->blocks = 0;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t* row = table + g * row_length(slots);
    work->first[g] = work->blocks;
    work->blocks += (row[0] + work->block - 1) / work->block;
    for (int64_t s = 0; s < slots; ++s)
      work->pointers[g * slots + s] =
          (char*)buffer(frame, row[1 + 2 * s]) + row[2 + 2 * s];
  }
  work->first[groups] = work->blocks;

  int64_t useful = elements / SMALLEST_BLOCK;  // threads
  int64_t workers = threads < useful ? threads : useful;
  call_helpers(frame, work, workers < work->blocks ? workers - 1 : work->blocks - 1);
  take_blocks(work);
  for (int64_t spins = 0; __atomic_load_n(&work->done, __ATOMIC_ACQUIRE) < work->blocks;)
    if (++spins > SPINS) sched_yield();
  drop(work);
  return NULL;
}
