#include "rules/line.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
line_split(char *text, struct line *line)
{
	char *save = NULL;

	text[strcspn(text, "#\r\n")] = '\0';
	line->count = 0;
	line->next = 0;
	for (char *word = strtok_r(text, " \t", &save); word != NULL && line->count < MAX_WORDS;
	     word = strtok_r(NULL, " \t", &save))
		line->words[line->count++] = word;
}

bool
line_fail(const struct line *line, const char *word, const char *reason)
{
	snprintf(line->error, RULES_ERROR_BYTES, "%s:%u: '%s': %s", line->path, line->number,
	         word != NULL ? word : "end of line", reason);
	return false;
}

const char *
line_peek(const struct line *line)
{
	return line->next < line->count ? line->words[line->next] : NULL;
}

bool
line_accept(struct line *line, const char *word)
{
	const char *next = line_peek(line);

	if (next == NULL || strcmp(next, word) != 0)
		return false;
	line->next++;
	return true;
}

bool
parse_number(const char *text, unsigned long max, unsigned long *out, char **end)
{
	if (!isdigit((unsigned char)*text))
		return false;
	*out = strtoul(text, end, 10);
	return *out <= max;
}

bool
line_ports(struct line *line, struct port_range *ports)
{
	const char *word = line_peek(line);
	unsigned long first, last;
	char *end;

	if (word == NULL)
		return line_fail(line, NULL, "a port is missing");
	line->next++;
	if (!parse_number(word, 65535, &first, &end))
		return line_fail(line, word, "not a port from 0 to 65535");
	last = first;
	if (*end == ':' && !parse_number(end + 1, 65535, &last, &end))
		return line_fail(line, word, "not a range of ports such as 5000:6000");
	if (*end != '\0')
		return line_fail(line, word, "not a port or a range of ports");
	if (last < first)
		return line_fail(line, word, "the range ends before it begins");
	ports->first = (uint16_t)first;
	ports->last = (uint16_t)last;
	return true;
}
