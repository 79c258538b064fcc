/* The limit of this machine: a room of stage 1 in C, on epoll, which validates nothing.
 *
 *     epoll_server PORT batch|each
 *
 * batch: what arrives in one turn of the loop is joined and written to each member once, as the lab's runtime does.
 * each: one send for every message and member, as every tutorial does.
 * Whoever sends a first line is in the room, and is answered with an empty roster. Nobody is ever dropped: what a
 * member does not read waits, without bound.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MEMBERS = 20000, CHUNK = 1 << 18 };

struct text {
    char *data;
    size_t size, room;
};

struct member {
    int fd, joined, writable;
    struct text line;    /* the beginning of a line whose end has not come */
    struct text own;     /* where it stands in this turn's text, as pairs of begin and end */
    struct text waiting; /* what the kernel did not take */
};

static struct member *members[MEMBERS];
static int in_room[MEMBERS], count, loop;
static struct text turn;

static void append(struct text *text, const void *data, size_t size) {
    if (text->size + size > text->room) {
        text->room = 2 * (text->size + size);
        text->data = realloc(text->data, text->room);
        if (!text->data) abort();
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

static void leave(struct member *member) {
    for (int i = 0; i < count; i++)
        if (in_room[i] == member->fd) {
            in_room[i] = in_room[--count];
            break;
        }
    close(member->fd);
    members[member->fd] = NULL;
    free(member->line.data), free(member->own.data), free(member->waiting.data), free(member);
}

static void watch(struct member *member, int writable) {
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.fd = member->fd};
    member->writable = writable;
    epoll_ctl(loop, EPOLL_CTL_MOD, member->fd, &event);
}

static void give(struct member *member, const char *data, size_t size) {
    if (!member->waiting.size) {
        ssize_t sent = send(member->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) return; /* its end is read soon */
        if (sent > 0) data += sent, size -= (size_t)sent;
    }
    if (size) append(&member->waiting, data, size);
    if (size && !member->writable) watch(member, 1);
}

static void flush(struct member *member) {
    struct text all = member->waiting;
    memset(&member->waiting, 0, sizeof all);
    give(member, all.data, all.size);
    free(all.data);
    if (!member->waiting.size) watch(member, 0);
}

static void say(struct member *from, const char *data, size_t size, int each) {
    if (each) {
        for (int i = 0; i < count; i++)
            if (in_room[i] != from->fd) give(members[in_room[i]], data, size);
        return;
    }
    size_t ends[2] = {turn.size, turn.size + size};
    append(&turn, data, size);
    append(&from->own, ends, sizeof ends);
}

/* Whole lines of one member: the first lets it in, the others are for the room. */
static void lines(struct member *member, const char *data, size_t size, int each) {
    static const char roster[] = "{\"type\":\"roster\",\"members\":[]}\n";
    if (!member->joined) {
        const char *end = memchr(data, '\n', size);
        member->joined = 1;
        in_room[count++] = member->fd;
        give(member, roster, sizeof roster - 1);
        size -= (size_t)(end + 1 - data), data = end + 1;
    }
    while (each && size) {
        const char *end = memchr(data, '\n', size);
        say(member, data, (size_t)(end + 1 - data), each);
        size -= (size_t)(end + 1 - data), data = end + 1;
    }
    if (size) say(member, data, size, each);
}

static void receive(struct member *member, int each) {
    static char buffer[CHUNK];
    ssize_t got = recv(member->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        leave(member);
        return;
    }
    const char *last = memrchr(buffer, '\n', (size_t)got);
    if (!last) {
        append(&member->line, buffer, (size_t)got);
        return;
    }
    size_t whole = (size_t)(last + 1 - buffer);
    if (member->line.size) {
        append(&member->line, buffer, whole);
        lines(member, member->line.data, member->line.size, each);
        member->line.size = 0;
    } else {
        lines(member, buffer, whole, each);
    }
    append(&member->line, last + 1, (size_t)got - whole);
}

/* The turn's text goes to all; whoever spoke in it gets it without what was their own. */
static void end_turn(void) {
    for (int i = 0; i < count; i++) {
        struct member *member = members[in_room[i]];
        size_t from = 0, *own = (size_t *)(void *)member->own.data;
        if (!member->own.size) {
            give(member, turn.data, turn.size);
            continue;
        }
        struct text rest = {0};
        for (size_t n = 0; n < member->own.size / sizeof *own; n += 2) {
            append(&rest, turn.data + from, own[n] - from);
            from = own[n + 1];
        }
        append(&rest, turn.data + from, turn.size - from);
        if (rest.size) give(member, rest.data, rest.size);
        free(rest.data);
        member->own.size = 0;
    }
    turn.size = 0;
}

static void enter(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MEMBERS || !(members[fd] = calloc(1, sizeof **members))) {
            close(fd);
            continue;
        }
        members[fd]->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("epoll_server PORT batch|each\n", stderr);
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct rlimit files = {MEMBERS, MEMBERS};
    setrlimit(RLIMIT_NOFILE, &files);
    int each = !strcmp(argv[2], "each"), on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("epoll_server");
        return 1;
    }
    loop = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[1024];
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(loop, ready, 1024, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) enter(listener);
            else if (ready[i].events & EPOLLOUT && members[fd]) flush(members[fd]);
            if (fd != listener && members[fd] && ready[i].events & ~(unsigned)EPOLLOUT) receive(members[fd], each);
        }
        if (turn.size) end_turn();
    }
}
