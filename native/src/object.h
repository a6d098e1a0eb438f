// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <string>
#include <vector>

#include "wrap.h"

namespace rf
{

struct ObjectCloser {
	void operator()(bpf_object *object) const
	{
		bpf_object__close(object);
	}
};

struct ObjectInit {
	std::vector<uint8_t> bytes; /* libbpf may read from it until close */
	std::unique_ptr<bpf_object, ObjectCloser> object;
};

/* A bpf_object from open to close. */
class Object : public Wrap<Object>
{
      public:
	static constexpr const char *kName = "object";
	static Napi::Function Define(Napi::Env env);
	static Napi::Value OpenFile(const Napi::CallbackInfo &info);
	static Napi::Value OpenBuffer(const Napi::CallbackInfo &info);
	explicit Object(const Napi::CallbackInfo &info);

      private:
	enum class State { kOpen, kLoaded, kFailed };

	Napi::Value Programs(const Napi::CallbackInfo &info);
	Napi::Value Maps(const Napi::CallbackInfo &info);
	Napi::Value Variables(const Napi::CallbackInfo &info);
	Napi::Value InitialValue(const Napi::CallbackInfo &info);
	Napi::Value SetInitialValue(const Napi::CallbackInfo &info);
	Napi::Value SetMaxEntries(const Napi::CallbackInfo &info);
	Napi::Value SetInnerMap(const Napi::CallbackInfo &info);
	Napi::Value ReuseMap(const Napi::CallbackInfo &info);
	Napi::Value SetAutoload(const Napi::CallbackInfo &info);
	Napi::Value SetProgramType(const Napi::CallbackInfo &info);
	Napi::Value Load(const Napi::CallbackInfo &info);
	Napi::Value GetMap(const Napi::CallbackInfo &info);
	Napi::Value GetProgram(const Napi::CallbackInfo &info);
	Napi::Value Close(const Napi::CallbackInfo &info);
	Napi::Value Closed(const Napi::CallbackInfo &info);

	bpf_object *Use() const;
	bpf_object *UseBefore(const char *action) const;
	bpf_object *UseLoaded(const char *action) const;
	bpf_map *FindMap(const std::string &name) const;
	bpf_program *FindProgram(const std::string &name) const;

	std::vector<Fd> templates_; /* inner maps: libbpf keeps the number only, so we keep it open */
	ObjectInit init_;
	State state_ = State::kOpen;
};

} // namespace rf
