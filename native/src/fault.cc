// SPDX-License-Identifier: Apache-2.0
#include "fault.h"

#include <cstring>

#include "env.h"

namespace rf
{

namespace
{
/* ENOTSUPP of the kernel's include/linux/errno.h: not meant for user space, yet bpf(2) returns it. */
constexpr int kKernelNotSupported = 524;
} // namespace

std::string ErrnoName(int err)
{
	if (err == 0)
		return "";
	if (err == kKernelNotSupported)
		return "ENOTSUPP";
	const char *name = strerrorname_np(err);
	return name ? name : "E" + std::to_string(err);
}

std::string ErrnoText(int err)
{
	if (err == kKernelNotSupported)
		return "ENOTSUPP (not supported by this kernel or type)";
	const char *text = strerrordesc_np(err);
	return ErrnoName(err) + (text ? std::string(" (") + text + ")" : "");
}

Fault Fault::Sys(std::string code, const std::string &what, int err, const std::string &syscall)
{
	Fault fault(std::move(code), "Cannot " + what + ": " + syscall + " failed with " + ErrnoText(err));
	fault.errno_ = err;
	fault.syscall_ = syscall;
	return fault;
}

Fault &Fault::With(const std::string &name, const std::string &value)
{
	fields_.emplace_back(name, value);
	return *this;
}

Fault &Fault::With(const std::string &name, double value)
{
	fields_.emplace_back(name, value);
	return *this;
}

Fault &Fault::Log(std::string log)
{
	log_ = std::move(log);
	return *this;
}

Fault &Fault::Hint(const std::string &hint)
{
	message_ += hint;
	return *this;
}

Napi::Error Fault::ToJs(Napi::Env env) const
{
	auto *state = env.GetInstanceData<EnvState>();
	if (!state || state->error_class.IsEmpty())
		return Napi::Error::New(env, message_);
	auto detail = Napi::Object::New(env);
	detail.Set("code", code_);
	detail.Set("message", message_);
	detail.Set("errno", Napi::Number::New(env, errno_));
	detail.Set("errnoName", ErrnoName(errno_));
	detail.Set("syscall", syscall_);
	auto fields = Napi::Object::New(env);
	for (const auto &[name, value] : fields_) {
		if (const auto *text = std::get_if<std::string>(&value))
			fields.Set(name, *text);
		else
			fields.Set(name, Napi::Number::New(env, std::get<double>(value)));
	}
	detail.Set("fields", fields);
	detail.Set("log", log_);
	return Napi::Error(env, state->error_class.New({detail}));
}

Fault ClosedFault(const char *object)
{
	return Fault("RF_CLOSED", std::string("Cannot use ") + object + ": found it closed, wanted it open");
}

} // namespace rf
