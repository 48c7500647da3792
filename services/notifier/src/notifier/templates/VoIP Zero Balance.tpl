Subject: VoIP Zero Balance: your telephone service is switched off

Dear {$client_name},

Your telephone service works on prepaid credit, and the credit on your account does not cover it any more. Calls are switched off for now.

Credit: ${$client_credit}
Outstanding invoices: {$client_due_invoices_balance}
Low balance alert at: ${$client_custom_field_lowbalancethreshold}

To turn your service on again, please log in to the client area, add funds, and pay what is outstanding. Calls work again within a minute of your payment, as a rule within seconds.

If you can not pay at the moment, please get in touch with us and we will look for a way together.
