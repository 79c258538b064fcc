/* Frames onto a card, so many a second: `flood FD RATE SECONDS` says how many it sent, and in how many microseconds.
 *
 * FD is a packet socket. On standard input: frames, each after its length (4 bytes, this machine's order); they are
 * sent in turn, in order, until the time is over or each was sent once. Batches of a millisecond, by sendmmsg(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#define BATCH 1024

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static char *read_all(size_t *size) {
    size_t room = 1 << 20, used = 0, got;
    char *all = malloc(room);
    while (all && (got = fread(all + used, 1, room - used, stdin)) > 0)
        if ((used += got) == room) all = realloc(all, room *= 2);
    *size = used;
    return all;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int fd = atoi(argv[1]);
    double rate = atof(argv[2]), seconds = atof(argv[3]), begin, gone = 0;
    size_t size, at = 0;
    long sent = 0;
    char *all = read_all(&size);
    static struct mmsghdr batch[BATCH];
    static struct iovec parts[BATCH];
    if (!all) return 1;
    begin = now();
    while (at < size && (gone = now() - begin) < seconds) {
        long due = (long)(gone * rate) - sent;
        int n = 0, done = 0;
        while (n < due && n < BATCH && at < size) {
            uint32_t length = *(uint32_t *)(all + at);
            parts[n] = (struct iovec){all + at + 4, length};
            batch[n].msg_hdr = (struct msghdr){.msg_iov = &parts[n], .msg_iovlen = 1};
            at += 4 + length;
            n++;
        }
        while (done < n) {
            int more = sendmmsg(fd, batch + done, n - done, 0);
            if (more < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) return perror("sendmmsg"), 1;
            done += more > 0 ? more : 0;
        }
        sent += n;
        if (n < BATCH) nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    printf("%ld %.0f\n", sent, 1e6 * gone);
    return 0;
}
