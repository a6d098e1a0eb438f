// SPDX-License-Identifier: Apache-2.0
#include "libbpf_log.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <vector>

namespace rf
{

namespace
{

thread_local LibbpfLog *current = nullptr;

int Print(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_DEBUG || !current)
		return 0;
	va_list again;
	va_copy(again, args);
	int size = vsnprintf(nullptr, 0, format, args);
	if (size > 0) {
		/* A verifier log comes as one message and may be megabytes. */
		std::vector<char> text(static_cast<size_t>(size) + 1);
		vsnprintf(text.data(), text.size(), format, again);
		current->Append(text.data(), static_cast<size_t>(size));
	}
	va_end(again);
	return size;
}

} // namespace

LibbpfLog::LibbpfLog() : outer_(current)
{
	current = this;
}

LibbpfLog::~LibbpfLog()
{
	current = outer_;
}

void InstallLibbpfLog()
{
	libbpf_set_print(Print);
}

std::string LogTail(const std::string &log, int lines)
{
	size_t end = log.find_last_not_of(" \t\n");
	if (end == std::string::npos)
		return "";
	size_t start = end + 1;
	while (lines-- > 0 && start != 0) {
		size_t newline = log.rfind('\n', start - 1);
		if (newline == std::string::npos) {
			start = 0;
			break;
		}
		start = lines == 0 ? newline + 1 : newline;
	}
	return log.substr(start, end + 1 - start);
}

} // namespace rf
