Subject: Low Balance Alert: your calling credit is running low

Dear {$client_first_name},

The credit for your telephone service has become low.

Account: {$client_id}
Credit: ${$client_credit}
You asked to be told at: ${$client_custom_field_lowbalancethreshold}

Calls go on as long as there is credit. To keep your telephones working, please log in to the client area and add funds before it is used up.

If you would rather not receive these alerts, reply to this message and we will turn them off for you.
