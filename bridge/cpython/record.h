/* The shared memory and the records in it, as record.go and ring.go of package
 * bridge lay them out. */
#ifndef GOASGI_RECORD_H
#define GOASGI_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_MAGIC UINT64_C(0x31494753414f4700) /* "\0GOASGI1" */

enum {
    OFF_MAGIC = 0,
    OFF_SIZE = 8,
    OFF_PROCESS = 16,
    OFF_IN = 64,
    OFF_OUT = 320,
    RINGS_OFFSET = 4096,
    CURSOR_TAIL = 0,
    CURSOR_HEAD = 64,
    CURSOR_SLEEPS = 128,
    CURSOR_WAITS = 192,
};

/* Records of the in ring, to the worker. */
enum { REC_OPEN = 1, REC_BODY, REC_CREDIT, REC_DISCONNECT, REC_CANCEL, REC_STOP, REC_SIGNAL };

/* Records of the out ring, to the front. */
enum { REC_START = 1, REC_PART, REC_TAKEN, REC_WANT, REC_END, REC_CONTROL };

/* FLAG_LENT: instead of the body stands where it is, a Lent. */
enum { FLAG_MORE = 1, FLAG_LENT = 2 };

enum { SAME_PATH = -1, KNOWN_NAME = 0x8000 };

typedef struct {
    uint32_t size; /* without padding, this header included */
    uint8_t kind;
    uint8_t flags;
    uint16_t aux;
    uint32_t slot;
    uint32_t serial;
} Record;

/* Fixed part of REC_OPEN. Behind it: method, raw path, path (unless SAME_PATH),
 * query, client host, server host, headers, body. */
typedef struct {
    uint8_t type; /* 0 http, 1 websocket */
    uint8_t version;
    uint8_t secure;
    uint8_t reserved;
    uint16_t method;
    uint16_t header_count;
    uint32_t raw_path;
    uint32_t path;
    uint32_t query;
    uint32_t headers;
    uint32_t body;
    uint16_t client_host;
    uint16_t server_host;
    int32_t client_port;
    int32_t server_port;
} OpenFields;

/* Fixed part of REC_START. Behind it: headers, each {uint32 name length, uint32
 * value length, name, value}, then the body. */
typedef struct {
    uint32_t header_count;
    uint32_t headers;
    uint32_t body;
    uint32_t reserved;
} StartFields;

/* Body bytes that stay where they are, in the process that both sides share. */
typedef struct {
    uint64_t address;
    uint64_t size;
} Lent;

_Static_assert(sizeof(Record) == 16, "record.go: headerSize");
_Static_assert(sizeof(OpenFields) == 40, "record.go: openSize");
_Static_assert(sizeof(StartFields) == 16, "record.go: startSize");

enum {
    WINDOW = 64 << 10,                     /* asgi.Window */
    MAX_SLOTS = 1 << 17,                   /* asgi.MaxSlots */
    MAX_RECORD = 256 << 10,                /* a quarter of the ring */
    MAX_HEAD = MAX_RECORD - WINDOW - 1024, /* the headers of a response, so that a part fits behind them */
};

#endif
