"""FusionPBX's rights by name, and the default rights of each group."""

_SUPERADMINS_ONLY = frozenset(
    {
        *("xml_cdr_all", "gateway_view", "gateway_edit", "gateway_all"),
        *("domain_view", "domain_edit", "domain_all", "domain_select"),
        *("sip_status_command", "system_status_sofia_status", "call_active_all"),
        *("extension_all", "extension_domain", "destination_all", "destination_export"),
        *("outbound_route_view", "dialplan_edit", "dialplan_all"),
        *("default_setting_view", "default_setting_add", "default_setting_edit"),
    }
)

FORM_RIGHTS = frozenset(
    {
        *("extension_extension", "number_alias", "extension_password", "extension_accountcode"),
        *("effective_caller_id_name", "effective_caller_id_number", "outbound_caller_id_name"),
        *("outbound_caller_id_number", "emergency_caller_id_name", "emergency_caller_id_number"),
        *("extension_directory", "extension_max_registrations", "extension_limit"),
        *("voicemail_edit", "extension_user_context", "extension_missed_call", "extension_toll"),
        *("extension_call_group", "extension_user_record", "extension_hold_music"),
        *("extension_cidr", "extension_nibble_account", "extension_absolute_codec_string"),
        *("extension_force_ping", "extension_dial_string", "extension_language"),
        *("extension_type", "extension_enabled"),
    }
)
"""Each allows to see and store fields of the form of an extension."""

ADMIN = FORM_RIGHTS | {
    *("xml_cdr_view", "xml_cdr_export", "xml_cdr_export_csv"),
    *("extension_view", "extension_add", "extension_edit", "extension_export"),
    *("operator_panel_view", "call_active_view", "call_active_hangup", "destination_view"),
}
SUPERADMIN = ADMIN | _SUPERADMINS_ONLY

VIEWS = {
    "gateways": "gateway_view",
    "extensions": "extension_view",
    "domains": "domain_view",
    "destinations": "destination_view",
}
EDITS = {"gateways": "gateway_edit", "extensions": "extension_edit", "domains": "domain_edit"}
ALLS = {"gateways": "gateway_all", "extensions": "extension_all", "destinations": "destination_all"}
"""The rights to see a list, to toggle its rows, and to see all tenants' rows with `show=all`."""
