// SPDX-License-Identifier: Apache-2.0
#include "args.h"

#include <cmath>
#include <cstring>

namespace rf
{

namespace
{

Fault Wrong(const char *name, const std::string &found, const std::string &wanted)
{
	return Fault("RF_ARGUMENT",
		     std::string("Cannot use argument ") + name + ": found " + found + ", wanted " + wanted)
		.With("argument", name);
}

std::string TypeName(Napi::Value value)
{
	switch (value.Type()) {
	case napi_undefined:
		return "undefined";
	case napi_null:
		return "null";
	case napi_boolean:
		return "a boolean";
	case napi_number:
		return "number " + value.ToString().Utf8Value();
	case napi_string:
		return "a string";
	case napi_bigint:
		return "a bigint";
	case napi_function:
		return "a function";
	default:
		return "an object";
	}
}

double Integer(Napi::Value value, const char *name, double low, double high, const char *wanted)
{
	if (!value.IsNumber())
		throw Wrong(name, TypeName(value), wanted);
	double number = value.As<Napi::Number>().DoubleValue();
	if (!(number >= low && number <= high) || number != std::trunc(number))
		throw Wrong(name, TypeName(value), wanted);
	return number;
}

} // namespace

std::string ArgString(const Napi::CallbackInfo &info, size_t index, const char *name)
{
	if (!info[index].IsString())
		throw Wrong(name, TypeName(info[index]), "a string");
	std::string text = info[index].As<Napi::String>().Utf8Value();
	/* C would see a shorter string than JavaScript does: for a path, another file. */
	if (text.find('\0') != std::string::npos)
		throw Wrong(name, "a string with a NUL character", "a string without");
	return text;
}

bool ArgBool(const Napi::CallbackInfo &info, size_t index, const char *name)
{
	if (!info[index].IsBoolean())
		throw Wrong(name, TypeName(info[index]), "a boolean");
	return info[index].As<Napi::Boolean>().Value();
}

uint32_t ToU32(Napi::Value value, const char *name)
{
	return static_cast<uint32_t>(Integer(value, name, 0, UINT32_MAX, "a whole number from 0 to 4294967295"));
}

uint32_t ArgU32(const Napi::CallbackInfo &info, size_t index, const char *name)
{
	return ToU32(info[index], name);
}

int32_t ArgI32(const Napi::CallbackInfo &info, size_t index, const char *name)
{
	return static_cast<int32_t>(Integer(info[index], name, INT32_MIN, INT32_MAX, "a whole number of 32 bits"));
}

Bytes ArgBytes(const Napi::CallbackInfo &info, size_t index, const char *name)
{
	if (!info[index].IsTypedArray() || info[index].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
		throw Wrong(name, TypeName(info[index]), "a Uint8Array");
	auto array = info[index].As<Napi::Uint8Array>();
	return {array.Data(), array.ByteLength()};
}

Bytes ArgBytes(const Napi::CallbackInfo &info, size_t index, const char *name, size_t size)
{
	Bytes bytes = ArgBytes(info, index, name);
	if (bytes.size != size)
		throw Wrong(name, std::to_string(bytes.size) + " bytes", std::to_string(size));
	return bytes;
}

Napi::Uint8Array CopyOut(Napi::Env env, const void *data, size_t size)
{
	auto out = Napi::Uint8Array::New(env, size);
	if (size > 0)
		memcpy(out.Data(), data, size);
	return out;
}

} // namespace rf
