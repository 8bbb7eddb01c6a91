/* One line of the rule file, cut into words, and the readers of words that all kinds of rules have. */
#ifndef HA_WORDS_H
#define HA_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "rules.h"

#define MAX_WORDS 32

/* Where the reading is. */
struct line {
	const char *path;
	unsigned int number;
	const char *words[MAX_WORDS];
	size_t count;
	size_t at;
	char *error;
};

/* Cuts `text` into words, up to a comment. The words lie in it. */
void words_cut(char *text, struct line *line);

/* Puts down what is wrong with a word, NULL for the end of the line. Gives false. */
bool words_fail(const struct line *line, const char *word, const char *why);

/* The next word, NULL at the end. */
const char *words_peek(const struct line *line);

/* Takes the next word if it is this one. */
bool words_accept(struct line *line, const char *word);

/* Reads a number at the front of `text`, up to `most`; `end` is behind it. */
bool words_number(const char *text, unsigned long most, unsigned long *out, char **end);

/* Reads "80" or "5000:6000". */
bool words_ports(struct line *line, struct port_range *ports);

/* translation.c: "nat-to", "rdr-to" and "af-to" with what belongs to them; and whether they fit the rest of the rule. */
bool translation_read(struct line *line, struct rule *rule);
bool translation_check(const struct line *line, struct rule *rule);

#endif
