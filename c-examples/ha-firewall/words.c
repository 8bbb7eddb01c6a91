#include "words.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
words_cut(char *text, struct line *line)
{
	char *save = NULL;

	text[strcspn(text, "#\r\n")] = '\0';
	line->count = 0;
	line->at = 0;
	for (char *word = strtok_r(text, " \t", &save); word != NULL && line->count < MAX_WORDS;
	     word = strtok_r(NULL, " \t", &save))
		line->words[line->count++] = word;
}

bool
words_fail(const struct line *line, const char *word, const char *why)
{
	snprintf(line->error, RULES_ERROR_BYTES, "%s:%u: '%s': %s", line->path, line->number,
	         word != NULL ? word : "end of line", why);
	return false;
}

const char *
words_peek(const struct line *line)
{
	return line->at < line->count ? line->words[line->at] : NULL;
}

bool
words_accept(struct line *line, const char *word)
{
	const char *next = words_peek(line);

	if (next == NULL || strcmp(next, word) != 0)
		return false;
	line->at++;
	return true;
}

bool
words_number(const char *text, unsigned long most, unsigned long *out, char **end)
{
	if (!isdigit((unsigned char)*text))
		return false;
	*out = strtoul(text, end, 10);
	return *out <= most;
}

bool
words_ports(struct line *line, struct port_range *ports)
{
	const char *word = words_peek(line);
	unsigned long first, last;
	char *end;

	if (word == NULL)
		return words_fail(line, NULL, "a port is missing");
	line->at++;
	if (!words_number(word, 65535, &first, &end))
		return words_fail(line, word, "not a port from 0 to 65535");
	last = first;
	if (*end == ':' && !words_number(end + 1, 65535, &last, &end))
		return words_fail(line, word, "not a range of ports such as 5000:6000");
	if (*end != '\0')
		return words_fail(line, word, "not a port or a range of ports");
	if (last < first)
		return words_fail(line, word, "the range ends before it begins");
	ports->first = (uint16_t)first;
	ports->last = (uint16_t)last;
	return true;
}
