"""A device in Python, with a client that we did not write: publishes one reading and waits for its end.

usage: paho_device.py HOST PORT DEVICE SECRET {3|5} QOS PAYLOAD [CA]
Ends with 0 when the gateway acknowledged it, with 1 when it refused the connection.
"""

import ssl
import sys

import paho.mqtt.client as mqtt

host, port, device, secret, version, qos, payload, *ca = sys.argv[1:]
client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    client_id=device,
    protocol=mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311,
)
client.username_pw_set(device, secret)
if ca:
    client.tls_set(ca[0], cert_reqs=ssl.CERT_REQUIRED)

refused = []


def on_connect(client, _userdata, _flags, reason, _properties):
    if reason.is_failure:
        refused.append(reason)
        client.disconnect()
        return
    client.publish(f"ninewatch/{device}/readings", payload, qos=int(qos))


def on_publish(client, _userdata, _mid, _reason, _properties):
    # For QoS 1 after the PUBACK, for QoS 2 after the PUBCOMP.
    client.disconnect()


client.on_connect = on_connect
client.on_publish = on_publish
client.connect(host, int(port))
client.loop_forever()
sys.exit(1 if refused else 0)
