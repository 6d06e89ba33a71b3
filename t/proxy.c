/*-------------------------------------------------------------------------
 *
 * proxy.c
 *	  Stands between a client and a server, and can break what is between
 *	  them: connections are reset (RST), as by a firewall or a dying machine.
 *
 * It prints the port that it listens at, then obeys the lines that it reads
 * from stdin and answers each with "ok", how many connections were reset, and
 * how many of them had a request that was not answered:
 *
 *		reset			every connection, now
 *		swallow MS		those whose next answer arrives within MS: the server
 *						has done what was asked, the client does not learn it
 *
 *		delay MS		none; but what the clients of the connections there are
 *						say arrives that much later, also when they are gone by
 *						then.  Answers how many connections, and how many bytes
 *						are on their way
 *
 * The end of stdin ends it.  While nobody listens at the server's port clients
 * find their connections closed.
 *
 * Usage: proxy SERVER_PORT
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINKS 200
#define CLIENT 0
#define SERVER 1

/* One connection: its two ends, and what came from each for the other. */
typedef struct Link
{
	int			fd[2];			/* fd[CLIENT] is -1: not in use */
	char		data[2][65536];
	size_t		length[2];
	size_t		sent[2];
	bool		unanswered;		/* the client spoke last */
	int			delay;			/* in ms, of what the client says */
	double		due;			/* when that is to arrive */
} Link;

static Link links[MAX_LINKS];
static int	server_port;

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static struct sockaddr_in
loopback(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

/* Returns a socket that listens; its port is whichever was free. */
static int
listen_anywhere(int *port)
{
	struct sockaddr_in address = loopback(0);
	socklen_t	size = sizeof(address);
	int			fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *) &address, size) != 0 || listen(fd, 100) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &size) != 0)
	{
		perror("proxy");
		exit(1);
	}
	*port = ntohs(address.sin_port);
	return fd;
}

static void
close_link(Link *link)
{
	close(link->fd[CLIENT]);
	close(link->fd[SERVER]);
	link->fd[CLIENT] = -1;
}

/* Both ends get RST, and nothing of what is on its way arrives. */
static void
reset_link(Link *link)
{
	struct linger at_once = {.l_onoff = 1,.l_linger = 0};

	for (int side = 0; side < 2; side++)
		setsockopt(link->fd[side], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close_link(link);
}

/* Takes a client on; it is closed if there is no server. */
static void
open_link(int client)
{
	struct sockaddr_in address = loopback(server_port);
	int			server = socket(AF_INET, SOCK_STREAM, 0);
	int			one = 1;
	Link	   *link = links;

	while (link < links + MAX_LINKS && link->fd[CLIENT] >= 0)
		link++;
	if (link == links + MAX_LINKS ||
		connect(server, (struct sockaddr *) &address, sizeof(address)) != 0)
	{
		close(client);
		close(server);
		return;
	}
	link->fd[CLIENT] = client;
	link->fd[SERVER] = server;
	link->unanswered = false;
	link->delay = 0;
	link->due = 0;
	for (int side = 0; side < 2; side++)
	{
		link->length[side] = link->sent[side] = 0;
		setsockopt(link->fd[side], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		fcntl(link->fd[side], F_SETFL, O_NONBLOCK);
	}
}

/*
 * Moves what is there to move from one side to the other; false if the
 * connection has ended.
 */
static bool
move(Link *link, int from)
{
	int			to = 1 - from;
	ssize_t		n;

	if (link->sent[from] == link->length[from])
	{
		n = recv(link->fd[from], link->data[from], sizeof(link->data[from]), 0);
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR);
		link->length[from] = n;
		link->sent[from] = 0;
		link->unanswered = from == CLIENT;
		link->due = from == CLIENT ? now_ms() + link->delay : link->due;
	}
	if (from == CLIENT && now_ms() < link->due)
		return true;
	n = send(link->fd[to], link->data[from] + link->sent[from],
			 link->length[from] - link->sent[from], MSG_NOSIGNAL);
	/* Nobody waits for this anymore, but the server is to hear the rest. */
	if (n < 0 && from == SERVER && link->delay > 0 && errno != EAGAIN)
		n = link->length[from] - link->sent[from];
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	link->sent[from] += n;
	return true;
}

/* Is what the client said on its way for so many ms more? */
static double
on_its_way(const Link *link)
{
	return link->sent[CLIENT] < link->length[CLIENT] && link->due > now_ms() ?
		link->due - now_ms() : 0;
}

/* What a side waits for: room for the rest, or more from there. */
static short
events_of(const Link *link, int side)
{
	int			other = 1 - side;

	return (link->sent[side] == link->length[side] ? POLLIN : 0) |
		(link->sent[other] < link->length[other] ? POLLOUT : 0);
}

/*
 * Waits up to so many ms and serves all connections once.  swallow: those
 * with an answer are reset instead; returns how many.
 */
static int
serve(struct pollfd *extra, int timeout, bool swallow)
{
	static struct pollfd polled[2 + 2 * MAX_LINKS];
	int			swallowed = 0;

	memcpy(polled, extra, 2 * sizeof(*extra));
	for (int i = 0; i < MAX_LINKS; i++)
	{
		double		later = links[i].fd[CLIENT] < 0 ? 0 : on_its_way(&links[i]);

		if (later > 0 && (timeout < 0 || timeout > later))
			timeout = (int) later + 1;
		for (int side = 0; side < 2; side++)
		{
			struct pollfd *its = &polled[2 + 2 * i + side];

			its->fd = links[i].fd[CLIENT] < 0 ? -1 : links[i].fd[side];
			its->events = its->fd < 0 ? 0 : events_of(&links[i], side);
			if (later > 0 && side == CLIENT)
				its->fd = -1;
			else if (later > 0)
				its->events &= ~POLLOUT;
			its->revents = 0;
		}
	}
	poll(polled, 2 + 2 * MAX_LINKS, timeout);
	for (int i = 0; i < MAX_LINKS; i++)
	{
		short		client = polled[2 + 2 * i].revents;
		short		server = polled[2 + 2 * i + 1].revents;
		Link	   *link = &links[i];

		if (link->fd[CLIENT] < 0)
			continue;
		/* What a client that is gone has said may still be to be read. */
		if (link->delay > 0 && (client & (POLLHUP | POLLERR)))
			client = POLLIN;
		if (swallow && link->unanswered && (server & POLLIN))
		{
			reset_link(link);
			swallowed++;
		}
		else if (((client | server) & (POLLHUP | POLLERR)) ||
				 ((client & POLLIN || server & POLLOUT) && !move(link, CLIENT)) ||
				 ((server & POLLIN || client & POLLOUT) && !move(link, SERVER)))
			close_link(link);
	}
	memcpy(extra, polled, 2 * sizeof(*extra));
	return swallowed;
}

static void
reset_all(void)
{
	int			count = 0;
	int			unanswered = 0;

	for (int i = 0; i < MAX_LINKS; i++)
	{
		if (links[i].fd[CLIENT] < 0)
			continue;
		count++;
		unanswered += links[i].unanswered;
		reset_link(&links[i]);
	}
	printf("ok %d %d\n", count, unanswered);
}

static void
delay(int ms)
{
	int			count = 0;
	size_t		bytes = 0;

	for (int i = 0; i < MAX_LINKS; i++)
	{
		if (links[i].fd[CLIENT] < 0)
			continue;
		count++;
		bytes += links[i].length[CLIENT] - links[i].sent[CLIENT];
		links[i].delay = ms;
	}
	printf("ok %d %zu\n", count, bytes);
}

static void
swallow(int ms)
{
	struct pollfd nothing[2] = {{.fd = -1}, {.fd = -1}};
	double		end = now_ms() + ms;
	int			count = 0;

	while (count == 0 && now_ms() < end)
		count = serve(nothing, (int) (end - now_ms()) + 1, true);
	printf("ok %d %d\n", count, count);
}

/* A line from stdin; false at its end.  Lines are short and come whole. */
static bool
obey(void)
{
	char		line[100];
	ssize_t		length = read(STDIN_FILENO, line, sizeof(line) - 1);
	int			ms;

	if (length <= 0)
		return false;
	line[length] = '\0';
	if (strcmp(line, "reset\n") == 0)
		reset_all();
	else if (sscanf(line, "swallow %d", &ms) == 1)
		swallow(ms);
	else if (sscanf(line, "delay %d", &ms) == 1)
		delay(ms);
	else
		printf("error: unknown command\n");
	return true;
}

int
main(int argc, char **argv)
{
	int			port;
	int			listener;
	struct pollfd extra[2];

	if (argc != 2)
		return 2;
	server_port = atoi(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < MAX_LINKS; i++)
		links[i].fd[CLIENT] = -1;
	listener = listen_anywhere(&port);
	printf("%d\n", port);

	for (;;)
	{
		extra[0] = (struct pollfd)
		{
			.fd = STDIN_FILENO,.events = POLLIN
		};
		extra[1] = (struct pollfd)
		{
			.fd = listener,.events = POLLIN
		};
		serve(extra, -1, false);
		if (extra[0].revents != 0 && !obey())
			return 0;
		if (extra[1].revents & POLLIN)
			open_link(accept(listener, NULL, NULL));
	}
}
