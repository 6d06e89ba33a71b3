/*-------------------------------------------------------------------------
 *
 * tram.c
 *	  eventuate_publish(), eventuate_send_command(), eventuate_reply(): the
 *	  kinds of messages that Eventuate Tram's handlers react to.
 *
 * Each is a message as eventuate_send() sends it, with the headers by which
 * Tram dispatches it to a handler and finds the way back.  Their payload is
 * JSON: anything else would end the subscription of whoever receives it.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "argument.h"
#include "headers.h"
#include "message.h"
#include "send.h"

PG_FUNCTION_INFO_V1(eventuate_publish);
PG_FUNCTION_INFO_V1(eventuate_publish_jsonb);
PG_FUNCTION_INFO_V1(eventuate_send_command);
PG_FUNCTION_INFO_V1(eventuate_send_command_jsonb);
PG_FUNCTION_INFO_V1(eventuate_reply);
PG_FUNCTION_INFO_V1(eventuate_reply_jsonb);

/* ---------------------------------------------------------------------
 * Arguments
 * ---------------------------------------------------------------------
 */

/* A text that must be there; "what" is the argument's name. */
static text *
required_text(FunctionCallInfo fcinfo, int arg, const char *what)
{
	ev_check_not_null(fcinfo, arg, what);
	return PG_GETARG_TEXT_PP(arg);
}

/* A jsonb, or NULL. */
static Jsonb *
optional_jsonb(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : PG_GETARG_JSONB_P(arg);
}

/* A payload that must be there, and JSON. */
static text *
required_json(FunctionCallInfo fcinfo, int arg, EvForm form, const char *what)
{
	text	   *payload;

	ev_check_not_null(fcinfo, arg, what);
	payload = ev_argument_text(fcinfo, arg, form);
	if (form == EV_FORM_TEXT)
		(void) DirectFunctionCall1(json_in,
								   CStringGetDatum(text_to_cstring(payload)));
	return payload;
}

/* ---------------------------------------------------------------------
 * Events and commands
 * ---------------------------------------------------------------------
 */

/* eventuate_publish() with an event of the given form. */
static Datum
publish_event(FunctionCallInfo fcinfo, EvForm form)
{
	static const EvHeaderRules rules = {
		"eventuate_publish()",
		{EV_HEADER_PARTITION_ID, EV_HEADER_AGGREGATE_ID,
		EV_HEADER_AGGREGATE_TYPE, EV_HEADER_EVENT_TYPE}
	};
	text	   *aggregate_type;
	text	   *aggregate_id;
	text	   *event_type;
	text	   *event;
	StringInfoData headers;

	ev_check_server(rules.function);
	aggregate_type = required_text(fcinfo, 0, "aggregate_type");
	aggregate_id = required_text(fcinfo, 1, "aggregate_id");
	event_type = required_text(fcinfo, 2, "event_type");
	ev_check_topic(aggregate_type, "aggregate_type");
	event = required_json(fcinfo, 3, form, "event");

	ev_headers_begin(&headers, optional_jsonb(fcinfo, 4), &rules, &aggregate_id);
	ev_headers_append_text(&headers, EV_HEADER_AGGREGATE_ID, aggregate_id);
	ev_headers_append_text(&headers, EV_HEADER_AGGREGATE_TYPE, aggregate_type);
	ev_headers_append_text(&headers, EV_HEADER_EVENT_TYPE, event_type);
	PG_RETURN_TEXT_P(ev_send_message(rules.function, aggregate_type,
									 aggregate_id, &headers, event));
}

/* eventuate_send_command() with a command of the given form. */
static Datum
send_command(FunctionCallInfo fcinfo, EvForm form)
{
	static const EvHeaderRules rules = {
		"eventuate_send_command()",
		{EV_HEADER_COMMAND_DESTINATION, EV_HEADER_COMMAND_TYPE,
		EV_HEADER_COMMAND_REPLY_TO, EV_HEADER_COMMAND_RESOURCE}
	};
	text	   *channel;
	text	   *command_type;
	text	   *command;
	text	   *reply_to = ev_argument_text(fcinfo, 3, EV_FORM_TEXT);
	text	   *resource = ev_argument_text(fcinfo, 4, EV_FORM_TEXT);
	text	   *key = NULL;
	StringInfoData headers;

	ev_check_server(rules.function);
	channel = required_text(fcinfo, 0, "channel");
	command_type = required_text(fcinfo, 1, "command_type");
	ev_check_topic(channel, "channel");
	if (reply_to != NULL)
		ev_check_topic(reply_to, "reply_to");
	command = required_json(fcinfo, 2, form, "command");

	ev_headers_begin(&headers, optional_jsonb(fcinfo, 5), &rules, &key);
	ev_headers_append_text(&headers, EV_HEADER_COMMAND_DESTINATION, channel);
	ev_headers_append_text(&headers, EV_HEADER_COMMAND_TYPE, command_type);
	if (reply_to != NULL)
		ev_headers_append_text(&headers, EV_HEADER_COMMAND_REPLY_TO, reply_to);
	if (resource != NULL)
		ev_headers_append_text(&headers, EV_HEADER_COMMAND_RESOURCE, resource);
	PG_RETURN_TEXT_P(ev_send_message(rules.function, channel, key, &headers,
									 command));
}

/* ---------------------------------------------------------------------
 * Replies
 * ---------------------------------------------------------------------
 */

/* A header of the request that a reply cannot do without. */
static text *
request_header(Jsonb *request, const char *name)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(&request->root, name, strlen(name),
									 &value) == NULL ||
		value.type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("request_headers has no header \"%s\"", name),
				 strcmp(name, EV_HEADER_COMMAND_REPLY_TO) == 0
				 ? errdetail("The command does not ask for a reply.")
				 : errdetail("Without it nobody could tell which command the reply belongs to."),
				 errhint("Pass the headers of the command as they came.")));
	return cstring_to_text_with_len(value.val.string.val, value.val.string.len);
}

/* Throws unless Tram knows it. */
static void
check_outcome(const char *outcome)
{
	if (strcmp(outcome, "SUCCESS") != 0 && strcmp(outcome, "FAILURE") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("outcome must be \"SUCCESS\" or \"FAILURE\""),
				 errdetail("It is \"%s\".", outcome)));
}

/* eventuate_reply() with a reply of the given form. */
static Datum
send_reply(FunctionCallInfo fcinfo, EvForm form)
{
	static const EvHeaderRules rules = {
		"eventuate_reply()",
		{EV_HEADER_REPLY_TO_MESSAGE_ID, EV_HEADER_REPLY_OUTCOME,
		EV_HEADER_REPLY_TYPE},
		EV_HEADER_ECHO_PREFIX
	};
	Jsonb	   *request;
	text	   *channel;
	text	   *outcome;
	text	   *reply_type;
	text	   *reply;
	text	   *key = NULL;
	StringInfoData headers;

	ev_check_server(rules.function);
	ev_check_not_null(fcinfo, 0, "request_headers");
	request = PG_GETARG_JSONB_P(0);
	outcome = required_text(fcinfo, 1, "outcome");
	reply_type = required_text(fcinfo, 2, "reply_type");
	if (!JB_ROOT_IS_OBJECT(request))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("request_headers must be a JSON object"),
				 errhint("Pass the headers of the command as they came.")));
	channel = request_header(request, EV_HEADER_COMMAND_REPLY_TO);
	ev_check_topic(channel, "reply channel");
	check_outcome(text_to_cstring(outcome));
	reply = required_json(fcinfo, 3, form, "reply");

	ev_headers_begin(&headers, optional_jsonb(fcinfo, 4), &rules, &key);
	ev_headers_append_echoes(&headers, request);
	ev_headers_append_text(&headers, EV_HEADER_REPLY_TO_MESSAGE_ID,
						   request_header(request, EV_HEADER_ID));
	ev_headers_append_text(&headers, EV_HEADER_REPLY_OUTCOME, outcome);
	ev_headers_append_text(&headers, EV_HEADER_REPLY_TYPE, reply_type);
	PG_RETURN_TEXT_P(ev_send_message(rules.function, channel, key, &headers,
									 reply));
}

/* ---------------------------------------------------------------------
 * The functions; those without a suffix take text and json
 * ---------------------------------------------------------------------
 */

Datum
eventuate_publish(PG_FUNCTION_ARGS)
{
	return publish_event(fcinfo, EV_FORM_TEXT);
}

Datum
eventuate_publish_jsonb(PG_FUNCTION_ARGS)
{
	return publish_event(fcinfo, EV_FORM_JSONB);
}

Datum
eventuate_send_command(PG_FUNCTION_ARGS)
{
	return send_command(fcinfo, EV_FORM_TEXT);
}

Datum
eventuate_send_command_jsonb(PG_FUNCTION_ARGS)
{
	return send_command(fcinfo, EV_FORM_JSONB);
}

Datum
eventuate_reply(PG_FUNCTION_ARGS)
{
	return send_reply(fcinfo, EV_FORM_TEXT);
}

Datum
eventuate_reply_jsonb(PG_FUNCTION_ARGS)
{
	return send_reply(fcinfo, EV_FORM_JSONB);
}
