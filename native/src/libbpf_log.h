// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace rf
{

/*
 * Collects what libbpf says on this thread while it lives, innermost first. libbpf has one print function per process;
 * ours looks for the calling thread's collector and is silent without one, so several environments do not mix.
 */
class LibbpfLog
{
      public:
	LibbpfLog();
	~LibbpfLog();
	LibbpfLog(const LibbpfLog &) = delete;
	LibbpfLog &operator=(const LibbpfLog &) = delete;

	const std::string &text() const
	{
		return text_;
	}
	void Append(const char *data, size_t size)
	{
		text_.append(data, size);
	}

      private:
	std::string text_;
	LibbpfLog *outer_;
};

/* Once per environment; setting the same function again is harmless. */
void InstallLibbpfLog();

/* The last lines of a log, for an error message. */
std::string LogTail(const std::string &log, int lines);

} // namespace rf
