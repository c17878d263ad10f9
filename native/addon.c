/*
 * What JavaScript sees of the capture engine; only Node-API, so that one build serves every Node.
 * The TypeScript side is src/capture/libpcap-addon.ts.
 */
#define NAPI_VERSION 8
#include <node_api.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "filter.h"
#include "interfaces.h"
#include "lock.h"
#include "notify.h"

#define MAX_ARGUMENTS 5

static const napi_type_tag SESSION_TAG = {0x7063617074732d73, 0x657373696f6e0001};
static const napi_type_tag FILTER_TAG = {0x7063617074732d66, 0x696c746572000001};

/* ---- values ----------------------------------------------------------------------------------- */

static napi_value make_string(napi_env env, const char *text)
{
  napi_value value = NULL;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

static napi_value make_number(napi_env env, double number)
{
  napi_value value = NULL;
  napi_create_double(env, number, &value);
  return value;
}

static napi_value make_bool(napi_env env, bool flag)
{
  napi_value value = NULL;
  napi_get_boolean(env, flag, &value);
  return value;
}

static napi_value make_object(napi_env env)
{
  napi_value value = NULL;
  napi_create_object(env, &value);
  return value;
}

static napi_value throw_error(napi_env env, const char *code, const char *words)
{
  napi_throw_error(env, code, words);
  return NULL;
}

static napi_value throw_capture_error(napi_env env, const struct capture_error *error)
{
  return throw_error(env, capture_error_name(error->code), error->words);
}

/* Fills in what was passed; what was not is undefined. */
static void get_arguments(napi_env env, napi_callback_info info, napi_value arguments[MAX_ARGUMENTS])
{
  size_t count = MAX_ARGUMENTS;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
}

/* A copy of a string, NULL for anything else; free() it. */
static char *copy_string(napi_env env, napi_value value)
{
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok)
    return NULL;
  char *text = malloc(length + 1);
  if (text != NULL)
    napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

static int get_int(napi_env env, napi_value value)
{
  int32_t number = 0;
  napi_get_value_int32(env, value, &number);
  return number;
}

static bool get_bool(napi_env env, napi_value value)
{
  bool flag = false;
  napi_get_value_bool(env, value, &flag);
  return flag;
}

static napi_value get_property(napi_env env, napi_value object, const char *name)
{
  napi_value value = NULL;
  napi_get_named_property(env, object, name, &value);
  return value;
}

/* What an external of ours points to; NULL, with an exception pending, for anything else. */
static void *get_external(napi_env env, napi_value value, const napi_type_tag *tag)
{
  bool is_ours = false;
  void *pointer = NULL;
  if (napi_check_object_type_tag(env, value, tag, &is_ours) == napi_ok && is_ours)
    napi_get_value_external(env, value, &pointer);
  if (pointer == NULL)
    napi_throw_type_error(env, NULL, "not a handle of this addon");
  return pointer;
}

static bool require_library(napi_env env)
{
  const char *reason = pcap_library_load();
  if (reason != NULL)
    napi_throw_error(env, "LIBRARY", reason);
  return reason == NULL;
}

/* ---- interfaces ------------------------------------------------------------------------------- */

static napi_value library_version(napi_env env, napi_callback_info info)
{
  (void)info;
  return require_library(env) ? make_string(env, pcap.lib_version()) : NULL;
}

static napi_value make_addresses(napi_env env, const pcap_addr_t *addresses)
{
  napi_value list = NULL;
  napi_create_array(env, &list);
  uint32_t count = 0;
  for (const pcap_addr_t *each = addresses; each != NULL; each = each->next) {
    char text[ADDRESS_TEXT_BYTES];
    if (address_text(each->addr, text))
      napi_set_element(env, list, count++, make_string(env, text));
  }
  return list;
}

static napi_value make_interface(napi_env env, const pcap_if_t *device)
{
  napi_value made = make_object(env);
  const char *description = device->description == NULL ? "" : device->description;
  const char *connection = connection_status(device->flags);
  napi_set_named_property(env, made, "name", make_string(env, device->name));
  napi_set_named_property(env, made, "description", make_string(env, description));
  napi_set_named_property(env, made, "addresses", make_addresses(env, device->addresses));
  napi_set_named_property(env, made, "flags", make_number(env, device->flags));
  napi_set_named_property(env, made, "connection", make_string(env, connection));
  return made;
}

static napi_value list_interfaces(napi_env env, napi_callback_info info)
{
  (void)info;
  if (!require_library(env))
    return NULL;
  pcap_if_t *devices = NULL;
  char words[PCAP_ERRBUF_SIZE] = "";
  if (pcap.findalldevs(&devices, words) != 0)
    return throw_error(env, "PCAP_ERROR", words);
  napi_value list = NULL;
  napi_create_array(env, &list);
  uint32_t count = 0;
  for (const pcap_if_t *each = devices; each != NULL; each = each->next)
    napi_set_element(env, list, count++, make_interface(env, each));
  pcap.freealldevs(devices);
  return list;
}

/* [{ value, name, description }] of numbers and the two functions that say what they mean. */
static napi_value make_choices(napi_env env, const int *values, int count,
                               const char *(*name_of)(int), const char *(*description_of)(int))
{
  napi_value list = NULL;
  napi_create_array(env, &list);
  for (int n = 0; n < count; n++) {
    napi_value made = make_object(env);
    const char *name = name_of(values[n]);
    const char *description = description_of(values[n]);
    napi_set_named_property(env, made, "value", make_number(env, values[n]));
    napi_set_named_property(env, made, "name", make_string(env, name == NULL ? "" : name));
    napi_set_named_property(env, made, "description",
                            make_string(env, description == NULL ? "" : description));
    napi_set_element(env, list, (uint32_t)n, made);
  }
  return list;
}

static napi_value time_stamp_types(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  if (!require_library(env))
    return NULL;
  char *name = copy_string(env, arguments[0]);
  char words[PCAP_ERRBUF_SIZE] = "out of memory";
  pcap_t *handle = name == NULL ? NULL : pcap.create(name, words);
  free(name);
  if (handle == NULL)
    return throw_error(env, "PCAP_ERROR", words);
  int *types = NULL;
  int count = pcap.list_tstamp_types == NULL ? 0 : pcap.list_tstamp_types(handle, &types);
  napi_value list = NULL;
  if (count < 0)
    throw_error(env, capture_error_name(count), pcap.geterr(handle));
  else
    list = make_choices(env, types, count, pcap.tstamp_type_val_to_name,
                        pcap.tstamp_type_val_to_description);
  if (types != NULL)
    pcap.free_tstamp_types(types);
  pcap.close(handle);
  return list;
}

/* ---- sessions --------------------------------------------------------------------------------- */

/* What the thread tells; one for each buffer that may be out. */
struct message {
  struct session *session;
  size_t used;
  uint32_t frames;
};

/* An open interface, its buffers, and the way back into JavaScript. */
struct session {
  napi_env env;
  struct capture *capture;
  napi_threadsafe_function calls;
  /* One for the external, one for `calls`. */
  int holders;
  bool is_started;
  bool has_hook;

  /* Buffers that were given and have not come back, oldest first. */
  napi_ref buffers[CAPTURE_QUEUE_LENGTH];
  unsigned first_buffer;
  unsigned buffer_count;

  /* Written by the thread, at most one for each buffer. */
  struct message messages[CAPTURE_QUEUE_LENGTH];
  unsigned next_message;
  struct message last_message;
  enum capture_end end;
  char words[PCAP_ERRBUF_SIZE];
};

static void drop_buffer(struct session *session)
{
  napi_delete_reference(session->env, session->buffers[session->first_buffer]);
  session->first_buffer = (session->first_buffer + 1) % CAPTURE_QUEUE_LENGTH;
  session->buffer_count--;
}

static void release_session(struct session *session)
{
  if (--session->holders == 0)
    free(session);
}

/* The thread has made its last call. */
static void release_calls(struct session *session)
{
  if (session->calls != NULL)
    napi_release_threadsafe_function(session->calls, napi_tsfn_release);
  session->calls = NULL;
}

static void stop_session(struct session *session)
{
  if (session->capture != NULL)
    capture_stop(session->capture);
}

/* The environment ends: the thread must not outlive it. */
static void on_environment_end(void *context)
{
  struct session *session = context;
  session->has_hook = false;
  stop_session(session);
  release_calls(session);
}

static void forget_hook(struct session *session)
{
  if (session->has_hook)
    napi_remove_env_cleanup_hook(session->env, on_environment_end, session);
  session->has_hook = false;
}

static void on_session_collected(napi_env env, void *context, void *hint)
{
  (void)env;
  (void)hint;
  struct session *session = context;
  forget_hook(session);
  if (session->capture != NULL)
    capture_free(session->capture);
  session->capture = NULL;
  release_session(session);
}

static void on_calls_ended(napi_env env, void *context, void *hint)
{
  (void)env;
  (void)context;
  release_session(hint);
}

/* On the capture's thread. The queue is unbounded, so calls never wait. */
static void on_delivery(void *context, size_t used, uint32_t frames)
{
  struct session *session = context;
  struct message *message = &session->messages[session->next_message];
  session->next_message = (session->next_message + 1) % CAPTURE_QUEUE_LENGTH;
  *message = (struct message){session, used, frames};
  napi_call_threadsafe_function(session->calls, message, napi_tsfn_nonblocking);
}

static void on_end(void *context, enum capture_end end, const char *words)
{
  struct session *session = context;
  session->end = end;
  strncpy(session->words, words, sizeof session->words - 1);
  session->last_message = (struct message){session, 0, 0};
  napi_call_threadsafe_function(session->calls, &session->last_message, napi_tsfn_nonblocking);
}

static const char *const END_NAMES[] = {"stopped", "gone", "broken"};

/* In JavaScript's thread: callback(usedBytes, frameCount), and at last callback(0, 0, end, words). */
static void call_javascript(napi_env env, napi_value callback, void *context, void *data)
{
  (void)context;
  /* The environment has ended, and the session with its messages may be freed. */
  if (env == NULL)
    return;
  struct message *message = data;
  struct session *session = message->session;
  bool is_last = message == &session->last_message;
  napi_value arguments[4] = {make_number(env, (double)message->used),
                             make_number(env, message->frames)};
  if (is_last) {
    arguments[2] = make_string(env, END_NAMES[session->end]);
    arguments[3] = make_string(env, session->words);
    while (session->buffer_count > 0)
      drop_buffer(session);
    release_calls(session);
  } else {
    drop_buffer(session);
  }
  napi_value receiver = NULL;
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, callback, is_last ? 4 : 2, arguments, NULL);
  bool is_thrown = false;
  napi_is_exception_pending(env, &is_thrown);
  if (!is_thrown)
    return;
  napi_value thrown = NULL;
  napi_get_and_clear_last_exception(env, &thrown);
  napi_fatal_exception(env, thrown);
}

static napi_value open_session(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  if (!require_library(env))
    return NULL;
  napi_value asked = arguments[0];
  char *name = copy_string(env, get_property(env, asked, "interfaceName"));
  if (name == NULL)
    return throw_error(env, "PCAP_ERROR", "no interface name");
  char *time_stamp_type = copy_string(env, get_property(env, asked, "timeStampType"));
  struct capture_options options = {
      .interface = name,
      .snap_length = get_int(env, get_property(env, asked, "snapLengthBytes")),
      .buffer_bytes = get_int(env, get_property(env, asked, "bufferBytes")),
      .is_promiscuous = get_bool(env, get_property(env, asked, "promiscuous")),
      .is_immediate = get_bool(env, get_property(env, asked, "immediate")),
      .is_nanosecond = get_bool(env, get_property(env, asked, "nanosecond")),
      .dlt = get_int(env, get_property(env, asked, "dlt")),
      .time_stamp_type = time_stamp_type,
  };
  struct capture_error error;
  struct capture *capture = capture_open(&options, &error);
  free(name);
  free(time_stamp_type);
  if (capture == NULL)
    return throw_capture_error(env, &error);

  struct session *session = calloc(1, sizeof *session);
  if (session == NULL) {
    capture_free(capture);
    return throw_error(env, "PCAP_ERROR", "out of memory");
  }
  session->env = env;
  session->capture = capture;
  session->holders = 1;
  napi_value external = NULL;
  /* Refused in a worker that is being terminated: then nobody would ever close it. */
  if (napi_create_external(env, session, on_session_collected, NULL, &external) != napi_ok) {
    capture_free(capture);
    free(session);
    return NULL;
  }
  napi_type_tag_object(env, external, &SESSION_TAG);
  return external;
}

static napi_value session_facts(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct session *session = get_external(env, arguments[0], &SESSION_TAG);
  if (session == NULL)
    return NULL;
  const struct capture_facts *facts = capture_facts(session->capture);
  napi_value made = make_object(env);
  napi_set_named_property(env, made, "dlt", make_number(env, facts->dlt));
  napi_set_named_property(env, made, "nanosecond", make_bool(env, facts->is_nanosecond));
  napi_set_named_property(env, made, "warning", make_string(env, facts->warning));
  napi_set_named_property(env, made, "leastBufferBytes",
                          make_number(env, (double)capture_least_buffer(session->capture)));
  return made;
}

static napi_value link_types(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct session *session = get_external(env, arguments[0], &SESSION_TAG);
  if (session == NULL)
    return NULL;
  pcap_t *handle = capture_handle(session->capture);
  if (handle == NULL)
    return throw_error(env, "PCAP_ERROR", "the session is closed");
  int *types = NULL;
  int count = pcap.list_datalinks(handle, &types);
  if (count < 0)
    return throw_error(env, "PCAP_ERROR", pcap.geterr(handle));
  napi_value list = make_choices(env, types, count, pcap.datalink_val_to_name,
                                 pcap.datalink_val_to_description);
  pcap.free_datalinks(types);
  return list;
}

/* checkFilter(session, expression): throws what capture_start would find wrong. */
static napi_value check_filter(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct session *session = get_external(env, arguments[0], &SESSION_TAG);
  if (session == NULL)
    return NULL;
  pcap_t *handle = capture_handle(session->capture);
  char *expression = copy_string(env, arguments[1]);
  char words[PCAP_ERRBUF_SIZE] = "the session is closed";
  struct bpf_program program;
  if (handle != NULL && expression != NULL &&
      filter_compile_live(&program, handle, expression, words))
    pcap.freecode(&program);
  else
    throw_error(env, "FILTER", words);
  free(expression);
  return NULL;
}

/* start(session, filter, exclusion, callback) */
static napi_value start_session(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct session *session = get_external(env, arguments[0], &SESSION_TAG);
  if (session == NULL)
    return NULL;
  if (session->is_started || capture_handle(session->capture) == NULL)
    return throw_error(env, "PCAP_ERROR", "the session is started or closed already");
  napi_status status =
      napi_create_threadsafe_function(env, arguments[3], NULL, make_string(env, "pcapts capture"), 0,
                                      1, session, on_calls_ended, session, call_javascript,
                                      &session->calls);
  if (status != napi_ok)
    return throw_error(env, "PCAP_ERROR", "no way to call back");
  session->holders++;
  session->is_started = true;
  char *filter = copy_string(env, arguments[1]);
  char *exclusion = copy_string(env, arguments[2]);
  const struct capture_sink sink = {session, on_delivery, on_end};
  struct capture_error error = {PCAP_ERROR, "a filter is no string"};
  bool is_started = filter != NULL && exclusion != NULL &&
                    capture_start(session->capture, filter, exclusion, &sink, &error);
  free(filter);
  free(exclusion);
  if (!is_started) {
    release_calls(session);
    return throw_capture_error(env, &error);
  }
  napi_add_env_cleanup_hook(env, on_environment_end, session);
  session->has_hook = true;
  return NULL;
}

/* give(session, buffer): it belongs to the session until it comes back by the callback. */
static napi_value give_buffer(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct session *session = get_external(env, arguments[0], &SESSION_TAG);
  if (session == NULL)
    return NULL;
  void *data = NULL;
  size_t size = 0;
  if (napi_get_buffer_info(env, arguments[1], &data, &size) != napi_ok ||
      size < capture_least_buffer(session->capture))
    return throw_error(env, "PCAP_ERROR", "the buffer holds no frame of the snaplen");
  if (session->buffer_count == CAPTURE_QUEUE_LENGTH)
    return throw_error(env, "PCAP_ERROR", "too many buffers are given");
  unsigned last = (session->first_buffer + session->buffer_count) % CAPTURE_QUEUE_LENGTH;
  if (napi_create_reference(env, arguments[1], 1, &session->buffers[last]) != napi_ok)
    return throw_error(env, "PCAP_ERROR", "the buffer cannot be held");
  session->buffer_count++;
  capture_give(session->capture, data, size);
  return NULL;
}

/* exclude(session, expression) */
static napi_value exclude(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct session *session = get_external(env, arguments[0], &SESSION_TAG);
  if (session == NULL)
    return NULL;
  char *exclusion = copy_string(env, arguments[1]);
  struct capture_error error = {PCAP_ERROR, "a filter is no string"};
  if (exclusion == NULL || !capture_exclude(session->capture, exclusion, &error))
    throw_capture_error(env, &error);
  free(exclusion);
  return NULL;
}

/* stats(session): [received, dropped, dropped by the interface, filtered] since the start. */
static napi_value session_stats(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct session *session = get_external(env, arguments[0], &SESSION_TAG);
  if (session == NULL)
    return NULL;
  struct capture_stats stats;
  capture_stats(session->capture, &stats);
  napi_value list = NULL;
  napi_create_array_with_length(env, 4, &list);
  napi_set_element(env, list, 0, make_number(env, (double)stats.received));
  napi_set_element(env, list, 1, make_number(env, (double)stats.dropped));
  napi_set_element(env, list, 2, make_number(env, (double)stats.dropped_by_interface));
  napi_set_element(env, list, 3, make_number(env, (double)stats.filtered));
  return list;
}

/* stop(session): the device is closed when it returns; what was captured still comes. */
static napi_value stop(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct session *session = get_external(env, arguments[0], &SESSION_TAG);
  if (session == NULL)
    return NULL;
  stop_session(session);
  forget_hook(session);
  return NULL;
}

/* ---- filters ---------------------------------------------------------------------------------- */

static void on_filter_collected(napi_env env, void *program, void *hint)
{
  (void)env;
  (void)hint;
  pcap.freecode(program);
  free(program);
}

/* compileFilter(dlt, snapLength, expression) */
static napi_value compile_filter(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  if (!require_library(env))
    return NULL;
  char words[PCAP_ERRBUF_SIZE] = "out of memory";
  struct bpf_program *program = calloc(1, sizeof *program);
  char *expression = copy_string(env, arguments[2]);
  bool is_compiled = program != NULL && expression != NULL &&
                     filter_compile(program, get_int(env, arguments[0]), get_int(env, arguments[1]),
                                    expression, words);
  free(expression);
  if (!is_compiled) {
    free(program);
    return throw_error(env, "FILTER", words);
  }
  napi_value external = NULL;
  napi_create_external(env, program, on_filter_collected, NULL, &external);
  napi_type_tag_object(env, external, &FILTER_TAG);
  return external;
}

/* matchFilter(filter, bytes, frameCount, bigEndian, verdicts) */
static napi_value match_filter(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  struct bpf_program *program = get_external(env, arguments[0], &FILTER_TAG);
  if (program == NULL)
    return NULL;
  void *bytes = NULL;
  void *verdicts = NULL;
  size_t size = 0;
  size_t room = 0;
  uint32_t frame_count = 0;
  napi_get_value_uint32(env, arguments[2], &frame_count);
  if (napi_get_buffer_info(env, arguments[1], &bytes, &size) != napi_ok ||
      napi_get_buffer_info(env, arguments[4], &verdicts, &room) != napi_ok || room < frame_count)
    return throw_error(env, "PCAP_ERROR", "there is no room for a verdict on each frame");
  long matching = filter_match_records(program, bytes, size, frame_count,
                                       get_bool(env, arguments[3]), verdicts);
  if (matching < 0)
    return throw_error(env, "PCAP_ERROR", "the records end before their frames do");
  return make_number(env, (double)matching);
}

/* ---- service manager --------------------------------------------------------------------------- */

/* notify(address, text): throws what the system says */
static napi_value notify(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  char *address = copy_string(env, arguments[0]);
  char *text = copy_string(env, arguments[1]);
  int failure = address == NULL || text == NULL ? EINVAL : notify_send(address, text);
  free(address);
  free(text);
  return failure == 0 ? NULL : throw_error(env, "NOTIFY", strerror(failure));
}

/* ---- directories ------------------------------------------------------------------------------- */

/* lockDirectory(path): a descriptor, undefined when another process has it; throws what the system says */
static napi_value js_lock_directory(napi_env env, napi_callback_info info)
{
  napi_value arguments[MAX_ARGUMENTS];
  get_arguments(env, info, arguments);
  char *path = copy_string(env, arguments[0]);
  int fd = -1;
  int failure = path == NULL ? EINVAL : lock_directory(path, &fd);
  free(path);
  if (failure == EWOULDBLOCK)
    return NULL;
  return failure == 0 ? make_number(env, fd) : throw_error(env, "LOCK", strerror(failure));
}

/* ---- module ----------------------------------------------------------------------------------- */

NAPI_MODULE_INIT()
{
  static const struct {
    const char *name;
    napi_callback function;
  } FUNCTIONS[] = {
      {"libraryVersion", library_version}, {"listInterfaces", list_interfaces},
      {"timeStampTypes", time_stamp_types}, {"open", open_session},
      {"facts", session_facts},            {"linkTypes", link_types},
      {"checkFilter", check_filter},       {"start", start_session},
      {"give", give_buffer},               {"exclude", exclude},
      {"stats", session_stats},            {"stop", stop},
      {"compileFilter", compile_filter},   {"matchFilter", match_filter},
      {"notify", notify},                  {"lockDirectory", js_lock_directory},
  };
  for (size_t n = 0; n < sizeof FUNCTIONS / sizeof *FUNCTIONS; n++) {
    napi_value function = NULL;
    napi_create_function(env, FUNCTIONS[n].name, NAPI_AUTO_LENGTH, FUNCTIONS[n].function, NULL,
                         &function);
    napi_set_named_property(env, exports, FUNCTIONS[n].name, function);
  }
  return exports;
}
