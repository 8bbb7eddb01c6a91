/* One line of the rule file, split into words, and parsers for words that all kinds of rules share. */
#ifndef HA_LINE_H
#define HA_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "rules/rules.h"

#define MAX_WORDS 32

/* A line and the position in it. */
struct line {
	const char *path;
	unsigned int number;
	const char *words[MAX_WORDS];
	size_t count;
	size_t next;
	char *error;
};

/* Splits `text` into words, up to a comment. The words point into it. */
void line_split(char *text, struct line *line);

/* Stores an error about a word, NULL for the end of the line. Returns false. */
bool line_fail(const struct line *line, const char *word, const char *reason);

/* Returns the next word, NULL at the end. */
const char *line_peek(const struct line *line);

/* Consumes the next word if it is this one. */
bool line_accept(struct line *line, const char *word);

/* Parses a number from 0 to `max` at the start of `text`; `end` points behind it. */
bool parse_number(const char *text, unsigned long max, unsigned long *out, char **end);

/* Parses "80" or "5000:6000". */
bool line_ports(struct line *line, struct port_range *ports);

/* translation.c: parses "nat-to", "rdr-to" and "af-to" with their arguments; checks them against the rest of the rule. */
bool translation_read(struct line *line, struct rule *rule);
bool translation_check(const struct line *line, struct rule *rule);

#endif
