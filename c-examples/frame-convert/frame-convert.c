/* Converts pfsync frames from one dialect to another: the codec alone, without an engine, a table or a clock.
 *
 *   frame-convert openbsd6 freebsd1400 in.pcap out.pcap
 *
 * Both captures are classic pcap with raw IP packets (link type 101). A state that the other dialect cannot express in
 * full is still written, and the lost fields are counted. Malformed records are reported and skipped.
 */
#include <pfplane.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IP_HEADER = 20, MTU = 1500, LONGEST = 65535 };

struct profile {
    const char *name;
    uint32_t number;
};

static const struct profile profiles[] = {
    {"openbsd6", PFPLANE_PROFILE_OPENBSD6},
    {"freebsd1301", PFPLANE_PROFILE_FREEBSD1301},
    {"freebsd1400", PFPLANE_PROFILE_FREEBSD1400},
    {"freebsd1500", PFPLANE_PROFILE_FREEBSD1500},
};

struct converter {
    pfplane_frame_reader *reader;
    pfplane_frame_writer *writer;
    uint32_t from, to;
    FILE *out;
    uint8_t frame[MTU];           /* the IP header, then the frame */
    uint8_t when[8];              /* time stamp of the packet that is being converted */
    pfplane_address source, destination;
    unsigned long frames_in, frames_out, records, malformed;
    unsigned long lost[32];       /* states that lost field n */
};

static void die(const char *what) {
    fprintf(stderr, "frame-convert: %s: %s\n", what, pfplane_last_error());
    exit(2);
}

static uint32_t profile_of(const char *name) {
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
        if (strcmp(profiles[i].name, name) == 0) return profiles[i].number;
    fprintf(stderr, "frame-convert: unknown profile %s\n", name);
    exit(2);
}

static void put32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void begin(struct converter *c) {
    if (pfplane_frame_writer_begin(c->writer, c->frame + IP_HEADER, MTU - IP_HEADER) != PFPLANE_OK)
        die("begin");
}

/* Finishes the frame, writes the IP header before it, and appends the packet to the capture. */
static void finish(struct converter *c) {
    uint32_t length, header;
    if (pfplane_frame_writer_finish(c->writer, &length) != PFPLANE_OK) die("finish");
    if (length == 0) return;
    if (pfplane_frame_envelope_write(&c->source, &c->destination, 0x10, (uint16_t)c->frames_out, length, c->frame,
                                     IP_HEADER, &header) != PFPLANE_OK)
        die("envelope");
    uint8_t packet_header[16];
    memcpy(packet_header, c->when, sizeof c->when);
    put32(packet_header + 8, header + length);
    put32(packet_header + 12, header + length);
    if (fwrite(packet_header, sizeof packet_header, 1, c->out) != 1 ||
        fwrite(c->frame, header + length, 1, c->out) != 1) {
        perror("frame-convert");
        exit(2);
    }
    c->frames_out++;
}

static void push(struct converter *c, pfplane_frame_record *record) {
    uint32_t dropped, mapped;
    if (pfplane_frame_record_convert(record, c->from, c->to, &dropped, &mapped) != PFPLANE_OK) die("convert");
    for (int bit = 0; bit < 32; bit++) c->lost[bit] += dropped >> bit & 1;
    int32_t status = pfplane_frame_writer_push(c->writer, record);
    if (status == PFPLANE_ERROR_BUFFER) { /* the frame is full: use the next one */
        finish(c);
        begin(c);
        status = pfplane_frame_writer_push(c->writer, record);
    }
    if (status == PFPLANE_ERROR_ARGUMENT)
        fprintf(stderr, "frame-convert: skipped: %s\n", pfplane_last_error());
    else if (status != PFPLANE_OK)
        die("push");
    else
        c->records++;
}

static void convert(struct converter *c, const uint8_t *packet, uint32_t length) {
    uint32_t fault;
    c->frames_in++;
    if (pfplane_frame_reader_begin_packet(c->reader, packet, length, &fault) != PFPLANE_OK) die("read");
    begin(c);
    pfplane_frame_record record = {.size = sizeof record};
    int32_t status = PFPLANE_END;
    while (fault == PFPLANE_FAULT_NONE && (status = pfplane_frame_reader_next(c->reader, &record)) == PFPLANE_OK) {
        if (record.fault == PFPLANE_FAULT_NONE) {
            push(c, &record);
        } else {
            fprintf(stderr, "frame-convert: frame %lu: %s\n", c->frames_in - 1, pfplane_frame_fault_name(record.fault));
            c->malformed++;
        }
    }
    if (status != PFPLANE_END) die("next");
    if (fault != PFPLANE_FAULT_NONE) {
        fprintf(stderr, "frame-convert: frame %lu: %s\n", c->frames_in - 1, pfplane_frame_fault_name(fault));
        c->malformed++;
    }
    finish(c);
}

static void convert_file(struct converter *c, FILE *in) {
    static uint8_t packet[LONGEST];
    uint8_t file_header[24], packet_header[16];
    if (fread(file_header, sizeof file_header, 1, in) != 1 || get32(file_header) != 0xa1b2c3d4u ||
        get32(file_header + 20) != 101) {
        fprintf(stderr, "frame-convert: the capture is not little-endian pcap of raw IP packets\n");
        exit(2);
    }
    if (fwrite(file_header, sizeof file_header, 1, c->out) != 1) {
        perror("frame-convert");
        exit(2);
    }
    while (fread(packet_header, sizeof packet_header, 1, in) == 1) {
        uint32_t length = get32(packet_header + 8);
        if (length > LONGEST || (length > 0 && fread(packet, length, 1, in) != 1)) {
            fprintf(stderr, "frame-convert: the capture is truncated\n");
            exit(2);
        }
        memcpy(c->when, packet_header, sizeof c->when);
        if (length >= IP_HEADER && packet[0] >> 4 == 4) { /* keep the addresses */
            memcpy(c->source.bytes, packet + 12, 4);
            memcpy(c->destination.bytes, packet + 16, 4);
        }
        convert(c, packet, length);
    }
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: frame-convert FROM TO IN.pcap OUT.pcap\nprofiles:");
        for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) fprintf(stderr, " %s", profiles[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    static struct converter c = {.source = {.family = 4}, .destination = {.family = 4}};
    c.from = profile_of(argv[1]);
    c.to = profile_of(argv[2]);
    FILE *in = fopen(argv[3], "rb");
    c.out = fopen(argv[4], "wb");
    if (in == NULL || c.out == NULL) {
        perror("frame-convert");
        return 2;
    }
    if (pfplane_frame_reader_new(&c.reader) != PFPLANE_OK) die("reader");
    if (pfplane_frame_writer_new(c.to, NULL, &c.writer) != PFPLANE_OK) die("writer");
    convert_file(&c, in);
    pfplane_frame_writer_free(c.writer);
    pfplane_frame_reader_free(c.reader);
    if (fclose(in) != 0 || fclose(c.out) != 0) {
        perror("frame-convert");
        return 2;
    }
    printf("%lu frames with %lu records became %lu frames, %lu faults\n", c.frames_in, c.records, c.frames_out,
           c.malformed);
    for (uint32_t bit = 0; bit < 32; bit++)
        if (c.lost[bit] > 0) printf("  %s lost by %lu states\n", pfplane_frame_field_name(bit), c.lost[bit]);
    return c.malformed > 0;
}
