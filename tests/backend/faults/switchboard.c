/* Put before a process of the backend (LD_PRELOAD): its calls of the system fail, wait, or are its last.
 *
 * A file of lines, one for each role and call, is shared with the test, which throws the switches while the processes
 * run; switchboard.py has the same lines. Calls of files count if the file lies in FAULTS_FOLDER; logs do not, unless
 * a needle names them: they are written at any time.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum role { SERVER, WORKER, ROLES };
enum call { OPEN, READ, WRITE, SYNC, RENAME, MKDIR, UNLINK, PROCESS, THREAD, CALLS };
enum moment { NEVER, BEFORE, HALF, AFTER, WAIT };

struct line {
    int32_t error;   /* with which every such call fails; 0: none does */
    int32_t moment;  /* what befalls the process at one of them */
    int32_t left;    /* so many of these calls from now, counted over all processes of the role */
    int32_t failed;  /* calls that have failed so far */
    int32_t befell;  /* whether the moment has come */
    char needle[44]; /* what the path must hold for a call to count; empty: anything */
};

static struct line *lines; /* of this process's role; NULL: it has none */
static char folder[PATH_MAX];
static size_t folder_length;

/* ---- Which lines are this process's ---------------------------------------------------------------------------- */

static int file_of(const char *path, int flags) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0); }

static int role_of_process(void) {
    char words[4096];
    int file = file_of("/proc/self/cmdline", O_RDONLY);
    ssize_t length = file < 0 ? -1 : (ssize_t)syscall(SYS_read, file, words, sizeof words);
    if (file >= 0) syscall(SYS_close, file);
    if (length <= 0) return ROLES;
    if (memmem(words, (size_t)length, "backend.worker.process", 22)) return WORKER;
    return memmem(words, (size_t)length, "backend\0serve", 13) ? SERVER : ROLES;
}

__attribute__((constructor)) static void find_lines(void) {
    const char *board = getenv("FAULTS_BOARD"), *root = getenv("FAULTS_FOLDER");
    int role = role_of_process();
    if (!board || !root || role == ROLES || strlen(root) >= sizeof folder) return;
    strcpy(folder, root);
    folder_length = strlen(root);
    int file = file_of(board, O_RDWR);
    if (file < 0) abort(); /* a test that believes it has faults and has none would prove nothing */
    struct line *all = mmap(NULL, sizeof(struct line) * ROLES * CALLS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (all == MAP_FAILED) abort();
    lines = all + role * CALLS;
}

/* ---- What befalls a call ---------------------------------------------------------------------------------------- */

static int is_armed(enum call call) { return lines && (lines[call].error || lines[call].moment); }

/* The line of a call on a file, if a switch of it is thrown and the file counts. */
static struct line *line_of(enum call call, const char *path) {
    if (!is_armed(call)) return NULL;
    struct line *line = &lines[call];
    if (path) {
        if (strncmp(path, folder, folder_length)) return NULL;
        if (line->needle[0] ? !strstr(path, line->needle) : strstr(path, ".log") != NULL) return NULL;
    }
    return line;
}

static struct line *line_of_file(enum call call, int file) {
    if (!is_armed(call)) return NULL;
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return line_of(call, path);
}

/* `path` may be relative to an open folder, as where Python deletes a tree. */
static struct line *line_at(enum call call, int at, const char *path) {
    if (!is_armed(call)) return NULL;
    if (path[0] == '/' || at == AT_FDCWD) return line_of(call, path);
    char name[64], whole[2 * PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", at);
    ssize_t length = readlink(name, whole, PATH_MAX - 1);
    if (length < 0) return NULL;
    snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
    return line_of(call, whole);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* The moment that has come with this call, or NEVER. A process that waits does so in here. */
static enum moment moment_of(struct line *line) {
    if (!line || !line->moment || __atomic_sub_fetch(&line->left, 1, __ATOMIC_SEQ_CST) != 0) return NEVER;
    enum moment moment = (enum moment)line->moment;
    __atomic_store_n(&line->befell, 1, __ATOMIC_SEQ_CST);
    if (moment == BEFORE) die();
    if (moment != WAIT) return moment;
    while (__atomic_load_n(&line->moment, __ATOMIC_SEQ_CST) == WAIT) usleep(500);
    return NEVER;
}

static int fails(struct line *line) {
    if (!line || !line->error) return 0;
    __atomic_add_fetch(&line->failed, 1, __ATOMIC_SEQ_CST);
    errno = line->error;
    return 1;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* The body of a replaced call: `half` is what it does when its process is killed in its middle. */
#define BEFALL(type, found, half, whole) \
    struct line *line = found; \
    enum moment moment = moment_of(line); \
    if (moment == HALF) { half; die(); } \
    if (fails(line)) return -1; \
    type result = whole; \
    if (moment == AFTER) die(); \
    return result

/* ---- The calls -------------------------------------------------------------------------------------------------- */

#define OPENED(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, #name, const char *, int, ...); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        BEFALL(int, line_at(OPEN, AT_FDCWD, path), (void)0, real(path, flags, mode)); \
    }
OPENED(open)
OPENED(open64)

#define OPENED_AT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(int, #name, int, const char *, int, ...); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        BEFALL(int, line_at(OPEN, at, path), (void)0, real(at, path, flags, mode)); \
    }
OPENED_AT(openat)
OPENED_AT(openat64)

ssize_t read(int file, void *data, size_t size) {
    REAL(ssize_t, "read", int, void *, size_t);
    BEFALL(ssize_t, line_of_file(READ, file), (void)0, real(file, data, size));
}

#define READ_AT(name, offset_type) \
    ssize_t name(int file, void *data, size_t size, offset_type offset) { \
        REAL(ssize_t, #name, int, void *, size_t, offset_type); \
        BEFALL(ssize_t, line_of_file(READ, file), (void)0, real(file, data, size, offset)); \
    }
READ_AT(pread, off_t)
READ_AT(pread64, off64_t)

ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    BEFALL(ssize_t, line_of_file(WRITE, file), (void)!real(file, data, size / 2), real(file, data, size));
}

#define WRITTEN_AT(name, offset_type) \
    ssize_t name(int file, const void *data, size_t size, offset_type offset) { \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type); \
        BEFALL(ssize_t, line_of_file(WRITE, file), (void)!real(file, data, size / 2, offset), \
               real(file, data, size, offset)); \
    }
WRITTEN_AT(pwrite, off_t)
WRITTEN_AT(pwrite64, off64_t)

#define SYNCED(name) \
    int name(int file) { \
        REAL(int, #name, int); \
        BEFALL(int, line_of_file(SYNC, file), (void)0, real(file)); \
    }
SYNCED(fsync)
SYNCED(fdatasync)

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    BEFALL(int, line_of(RENAME, to), (void)0, real(from, to));
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    BEFALL(int, line_at(RENAME, to_at, to), (void)0, real(from_at, from, to_at, to));
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    BEFALL(int, line_of(MKDIR, path), (void)0, real(path, mode));
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    BEFALL(int, line_of(UNLINK, path), (void)0, real(path));
}

int unlinkat(int at, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    BEFALL(int, line_at(UNLINK, at, path), (void)0, real(at, path, flags));
}

int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    BEFALL(int, line_of(UNLINK, path), (void)0, real(path));
}

pid_t fork(void) {
    REAL(pid_t, "fork", void);
    BEFALL(pid_t, line_of(PROCESS, NULL), (void)0, real());
}

/* What vfork(2) does cannot be put into a function that returns; a fork does the same for who calls it. */
pid_t vfork(void) { return fork(); }

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    REAL(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    struct line *line = line_of(THREAD, NULL);
    if (moment_of(line) == HALF) die();
    return fails(line) ? errno : real(thread, attributes, start, argument);
}
