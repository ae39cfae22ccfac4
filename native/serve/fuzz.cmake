if(TARGET ringtap_serve)
  ringtap_fuzz(own_traffic SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/own_traffic_fuzz.cc LINK ringtap_serve)
endif()
