// SPDX-License-Identifier: Apache-2.0
#include "btf.h"

#include <bpf/btf.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <unordered_set>

#include "args.h"
#include "libbpf_log.h"

namespace rf
{

namespace
{

struct BtfFree {
	void operator()(struct btf *btf) const
	{
		btf__free(btf);
	}
};
using BtfPointer = std::unique_ptr<struct btf, BtfFree>;

class Reader
{
      public:
	Reader(Napi::Env env, const struct btf *btf) : env_(env), btf_(btf)
	{
	}

	Napi::Object Struct(const struct btf_type *type) const
	{
		auto members = Napi::Array::New(env_, btf_vlen(type));
		for (int i = 0; i < btf_vlen(type); i++)
			members.Set(static_cast<uint32_t>(i), Member(type, i));
		auto out = Napi::Object::New(env_);
		out.Set("name", Name(type->name_off));
		out.Set("kind", btf_is_union(type) ? "union" : "struct");
		out.Set("size", Num(env_, type->size));
		out.Set("members", members);
		return out;
	}

	Napi::Object Enum(const struct btf_type *type) const
	{
		auto values = Napi::Array::New(env_, btf_vlen(type));
		bool is_signed = btf_kflag(type);
		for (int i = 0; i < btf_vlen(type); i++) {
			auto item = Napi::Object::New(env_);
			if (btf_is_enum64(type)) {
				const struct btf_enum64 *value = btf_enum64(type) + i;
				uint64_t bits = btf_enum64_value(value);
				item.Set("name", Name(value->name_off));
				item.Set("value", is_signed ? Napi::BigInt::New(env_, static_cast<int64_t>(bits))
							    : Napi::BigInt::New(env_, bits));
			} else {
				const struct btf_enum *value = btf_enum(type) + i;
				/* The field is signed in the header whatever the enum is. */
				item.Set("name", Name(value->name_off));
				item.Set("value",
					 is_signed
						 ? Napi::BigInt::New(env_, static_cast<int64_t>(value->val))
						 : Napi::BigInt::New(env_, static_cast<uint64_t>(
										   static_cast<uint32_t>(value->val))));
			}
			values.Set(static_cast<uint32_t>(i), item);
		}
		auto out = Napi::Object::New(env_);
		out.Set("name", Name(type->name_off));
		out.Set("size", Num(env_, type->size));
		out.Set("signed", Napi::Boolean::New(env_, is_signed));
		out.Set("values", values);
		return out;
	}

	std::string Name(uint32_t offset) const
	{
		const char *name = btf__name_by_offset(btf_, offset);
		return name ? name : "";
	}

      private:
	Napi::Object Member(const struct btf_type *owner, int index) const
	{
		const struct btf_member *member = btf_members(owner) + index;
		uint32_t id = member->type;
		int64_t size = btf__resolve_size(btf_, id);
		uint32_t length = 0;
		bool is_array = false;
		for (const struct btf_type *type = Plain(id); btf_is_array(type); type = Plain(id)) {
			length = is_array ? length * btf_array(type)->nelems : btf_array(type)->nelems;
			is_array = true;
			id = btf_array(type)->type;
		}
		auto out = Napi::Object::New(env_);
		out.Set("name", Name(member->name_off));
		out.Set("bitOffset", Num(env_, btf_member_bit_offset(owner, index)));
		out.Set("bitfieldBits", Num(env_, btf_member_bitfield_size(owner, index)));
		out.Set("size", Num(env_, static_cast<double>(std::max<int64_t>(size, 0))));
		out.Set("type", Spell(id, false));
		out.Set("baseType", Spell(id, true));
		out.Set("arrayLength", is_array ? Num(env_, length) : env_.Undefined());
		return out;
	}

	/* The type without qualifiers and typedefs; void is kind unknown with id 0. */
	const struct btf_type *Plain(uint32_t id) const
	{
		const struct btf_type *type = btf__type_by_id(btf_, id);
		while (btf_is_mod(type) || btf_is_typedef(type))
			type = btf__type_by_id(btf_, type->type);
		return type;
	}

	/* The type as in C. plain: through typedefs. */
	std::string Spell(uint32_t id, bool plain) const
	{
		if (id == 0)
			return "void";
		const struct btf_type *type = btf__type_by_id(btf_, id);
		switch (btf_kind(type)) {
		case BTF_KIND_TYPEDEF:
			return plain ? Spell(type->type, true) : Name(type->name_off);
		case BTF_KIND_CONST:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			return Spell(type->type, plain);
		case BTF_KIND_PTR:
			return Spell(type->type, plain) + " *";
		case BTF_KIND_STRUCT:
			return "struct " + Name(type->name_off);
		case BTF_KIND_UNION:
			return "union " + Name(type->name_off);
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
			return "enum " + Name(type->name_off);
		case BTF_KIND_ARRAY:
			return Spell(btf_array(type)->type, plain) + "[" + std::to_string(btf_array(type)->nelems) +
			       "]";
		case BTF_KIND_FWD:
			return (BTF_INFO_KFLAG(type->info) ? "union " : "struct ") + Name(type->name_off);
		case BTF_KIND_FUNC_PROTO:
			return "function";
		default:
			return Name(type->name_off);
		}
	}

	Napi::Env env_;
	const struct btf *btf_;
};

BtfPointer Open(const std::string &source)
{
	LibbpfLog log;
	BtfPointer btf(source == "vmlinux" ? btf__load_vmlinux_btf() : btf__parse(source.c_str(), nullptr));
	if (!btf) {
		int err = errno;
		/* libbpf says ENOENT also of a file that is there and has no BTF. */
		bool missing = err == ENOENT && access(source.c_str(), F_OK) != 0;
		throw Fault::Sys(missing ? "RF_NOT_FOUND" : "RF_BTF", "read BTF of " + source, err, "btf__parse")
			.With("source", source)
			.Log(log.text());
	}
	return btf;
}

} // namespace

Napi::Value ReadBtf(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	std::string source = ArgString(info, 0, "source");
	std::unordered_set<std::string> wanted;
	bool all = info[1].IsUndefined();
	if (!all) {
		if (!info[1].IsArray())
			throw Fault("RF_ARGUMENT",
				    "Cannot read BTF: found names that are no list, wanted an array of strings");
		auto names = info[1].As<Napi::Array>();
		for (uint32_t i = 0; i < names.Length(); i++)
			wanted.insert(names.Get(i).ToString().Utf8Value());
	}
	BtfPointer btf = Open(source);
	Reader reader(env, btf.get());
	auto structs = Napi::Array::New(env);
	auto enums = Napi::Array::New(env);
	for (uint32_t id = 1; id < btf__type_cnt(btf.get()); id++) {
		const struct btf_type *type = btf__type_by_id(btf.get(), id);
		std::string name = reader.Name(type->name_off);
		if (name.empty() || (!all && wanted.count(name) == 0))
			continue;
		/* The kernel has thousands: handles must not pile up. */
		Napi::HandleScope scope(env);
		if (btf_is_composite(type))
			structs.Set(structs.Length(), reader.Struct(type));
		else if (btf_is_any_enum(type))
			enums.Set(enums.Length(), reader.Enum(type));
	}
	auto out = Napi::Object::New(env);
	out.Set("structs", structs);
	out.Set("enums", enums);
	return out;
}

} // namespace rf
