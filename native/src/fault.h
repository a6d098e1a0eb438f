// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace rf
{

/*
 * What goes wrong, without JavaScript: may be made and thrown on any thread. The call boundary (wrap.h) turns it into
 * the NativeError class of the environment that called.
 */
class Fault : public std::exception
{
      public:
	Fault(std::string code, std::string message) : code_(std::move(code)), message_(std::move(message))
	{
	}

	/* "Cannot <what>: <syscall> failed with ENOENT (No such file or directory)". err is a positive errno. */
	static Fault Sys(std::string code, const std::string &what, int err, const std::string &syscall);

	Fault &With(const std::string &name, const std::string &value);
	Fault &With(const std::string &name, double value);
	Fault &Log(std::string log);
	/* Appended to the message: what to do about it. */
	Fault &Hint(const std::string &hint);

	const char *what() const noexcept override
	{
		return message_.c_str();
	}
	int err() const
	{
		return errno_;
	}
	const std::string &message() const
	{
		return message_;
	}

	/* On the JavaScript thread of env only. */
	Napi::Error ToJs(Napi::Env env) const;

      private:
	std::string code_;
	std::string message_;
	int errno_ = 0;
	std::string syscall_;
	std::vector<std::pair<std::string, std::variant<std::string, double>>> fields_;
	std::string log_;
};

/* 'ENOENT'; knows the kernel-internal 524, which leaks out of bpf(2). */
std::string ErrnoName(int err);

/* 'ENOENT (No such file or directory)' */
std::string ErrnoText(int err);

Fault ClosedFault(const char *object);

} // namespace rf
