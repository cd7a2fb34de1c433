/* Trouble with the disk for the process that loads this (LD_PRELOAD), as far as it is a SQLite database's.
 *
 * TROUBLE_SYNC_FAILS=PATH   while there is a file PATH, a sync answers with an I/O error, having done nothing
 * TROUBLE_DIES_AT=N         the process dies (SIGKILL) right before its N-th write, cut or sync,
 * TROUBLE_DIES_AT_SYNC=N    or before its N-th sync
 *
 * SQLite reaches the system through these functions of the C library
 * (https://www.sqlite.org/c3ref/vfs.html, aSyscall in os_unix.c), so that its own code is unchanged.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

static atomic_long steps, syncs;

/* The database or its log; its shared memory is no file that is written. */
static int is_database(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    return name && strncmp(name, "/concord.db", 11) == 0 && !strstr(name, "-shm");
}

static void count(int fd, const char *what, const char *variable, atomic_long *counter) {
    char path[4096], line[4200];
    const char *at = getenv(variable);
    int saved = errno;
    if (at && is_database(fd, path, sizeof path) && atomic_fetch_add(counter, 1) + 1 == atol(at)) {
        int length = snprintf(line, sizeof line, "\ndied before %s of %s\n", what, strrchr(path, '/') + 1);
        if (REAL(ssize_t (*)(int, const void *, size_t), "write")(STDERR_FILENO, line, length) >= 0) {}
        raise(SIGKILL);
    }
    errno = saved;
}

static void step(int fd, const char *what) { count(fd, what, "TROUBLE_DIES_AT", &steps); }

static void sync_step(int fd) {
    step(fd, "a sync");
    count(fd, "a sync", "TROUBLE_DIES_AT_SYNC", &syncs);
}

static int sync_fails(int fd) {
    char path[4096];
    const char *sign = getenv("TROUBLE_SYNC_FAILS");
    return sign && is_database(fd, path, sizeof path) && access(sign, F_OK) == 0;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    step(fd, "a write");
    return REAL(ssize_t (*)(int, const void *, size_t), "write")(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    step(fd, "a write");
    return REAL(ssize_t (*)(int, const void *, size_t, off_t), "pwrite")(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    step(fd, "a write");
    return REAL(ssize_t (*)(int, const void *, size_t, off64_t), "pwrite64")(fd, bytes, count, at);
}

int ftruncate(int fd, off_t size) {
    step(fd, "a cut");
    return REAL(int (*)(int, off_t), "ftruncate")(fd, size);
}

int ftruncate64(int fd, off64_t size) {
    step(fd, "a cut");
    return REAL(int (*)(int, off64_t), "ftruncate64")(fd, size);
}

int fsync(int fd) {
    sync_step(fd);
    if (sync_fails(fd)) {
        errno = EIO;
        return -1;
    }
    return REAL(int (*)(int), "fsync")(fd);
}

int fdatasync(int fd) {
    sync_step(fd);
    if (sync_fails(fd)) {
        errno = EIO;
        return -1;
    }
    return REAL(int (*)(int), "fdatasync")(fd);
}
